/**
 * A whole agent beside the control plane, in one process: its own decisions, memory and engine in memory, and calls that go
 * straight to the services of whichever replica there is.
 */
import { SystemClock } from '../../control-plane/adapters/clock/system-clock.ts';
import { CryptoRandom } from '../../control-plane/adapters/random/crypto-random.ts';
import { commitStatuses, heartbeat, registerNode } from '../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../control-plane/services/assignments.ts';
import type { ServiceContext } from '../../control-plane/services/context.ts';
import { LeaseGoneError, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import { DEFAULT_RETENTION } from '../../node-agent/core/retention.ts';
import { type Agent, createAgent } from '../../node-agent/executor/agent.ts';
import { type ControlPlane, ControlPlaneFault, type Log } from '../../node-agent/executor/contracts.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import { FakeFence } from './fake-fence.ts';
import { FakeProbes } from './fake-probes.ts';
import { FakeRuntime } from './fake-runtime.ts';
import { MemoryJournal } from './memory-journal.ts';
import { MemoryVolumes } from './memory-volumes.ts';
import { JOINER, nodeOf, nodePrincipal } from './replica.ts';

/** The machine under it stays up. */
const BOOT = { id: 'boot', startedAt: { wallMs: 0, steadyMs: 0 } };

export class NearAgent {
  readonly node: string;
  readonly runtime: FakeRuntime;
  readonly probes = new FakeProbes();
  readonly logged: string[] = [];
  readonly #journal = new MemoryJournal();
  readonly #fence: FakeFence;
  readonly #link: ControlPlane;
  #agent: Agent | null = null;

  constructor(node: string, images: readonly string[], replica: () => ServiceContext) {
    this.node = node;
    this.#link = directLink(node, replica);
    const clock = new SystemClock();
    this.runtime = new FakeRuntime({ images, clock });
    this.#fence = new FakeFence({ clock, kill: (container) => this.runtime.killFromOutside(container) });
  }

  async start(): Promise<void> {
    const note = (message: string) => void this.logged.push(message);
    const log: Log = { debug: note, info: note, warn: note, error: note };
    this.#agent = createAgent({
      controlPlane: this.#link,
      runtime: this.runtime,
      probes: this.probes,
      volumes: new MemoryVolumes(),
      journal: this.#journal,
      fence: this.#fence,
      clock: new SystemClock(),
      random: new CryptoRandom(),
      config: { node: nodeOf(this.node), startConcurrency: 4, retention: DEFAULT_RETENTION, boot: BOOT },
      log,
    });
    await this.#agent.start();
  }

  /** Its tasks run on. */
  async stop(): Promise<void> {
    await this.#agent?.stop();
  }
}

/** The same over all starts of an agent: the node's token lies on its disk, so the join token serves for the first time alone. */
function directLink(node: string, replica: () => ServiceContext): ControlPlane {
  let isAdmitted = false;
  const call = async <T>(work: (ctx: ServiceContext) => Promise<T>): Promise<T> => {
    try {
      return await work(replica());
    } catch (error) {
      throw faultOf(error);
    }
  };
  return {
    async register(request) {
      const session = await call((ctx) => registerNode(ctx, isAdmitted ? nodePrincipal(node) : JOINER, request));
      isAdmitted = true;
      return { ...session, nodeToken: '' };
    },
    assignment: (epoch, { position, streamsVersion, waitMs }, signal) =>
      call((ctx) =>
        waitForAssignment(ctx, { node, epoch }, { position, streamsVersion: streamsVersion ?? '', waitMs, signal }),
      ),
    async heartbeat(epoch) {
      await call((ctx) => heartbeat(ctx, { node, epoch }));
      return { nodeToken: null };
    },
    statuses: (epoch, request) => call((ctx) => commitStatuses(ctx, { node, epoch }, request)),
    messages: () => Promise.reject(new ControlPlaneFault('refused', 'nobody says anything here')),
    identity: () => Promise.reject(new ControlPlaneFault('refused', 'nobody is given anything here')),
    secrets: () => Promise.reject(new ControlPlaneFault('refused', 'nobody is given anything here')),
    stream: () => Promise.reject(new ControlPlaneFault('refused', 'nobody asks for output here')),
  };
}

function faultOf(error: unknown): unknown {
  if (error instanceof StoreUnavailableError || error instanceof LeaseGoneError) {
    return new ControlPlaneFault('away', error.message);
  }
  if (!(error instanceof Refusal)) return error;
  const kind = error.code === 'stale-epoch' ? 'stale-epoch' : error.code === 'unavailable' ? 'away' : 'refused';
  return new ControlPlaneFault(kind, error.message);
}
