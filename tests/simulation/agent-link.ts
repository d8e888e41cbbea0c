/**
 * How an agent reaches the control plane in the simulated world: each call goes through the network to a replica that
 * happens to be up, and is served there by the real services, as the API would have them serve it.
 */
import type { Principal } from '../../control-plane/auth/principal.ts';
import { commitStatuses, heartbeat, registerNode } from '../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../control-plane/services/assignments.ts';
import type { ServiceContext } from '../../control-plane/services/context.ts';
import type { NodeSession } from '../../control-plane/services/session-check.ts';
import { LeaseGoneError, StoreUnavailableError } from '../../control-plane/store/contract.ts';
import {
  type AssignmentQuery,
  type ControlPlane,
  ControlPlaneFault,
  type ControlPlaneFaultKind,
} from '../../node-agent/executor/contracts.ts';
import { Refusal } from '../../shared/domain/errors.ts';
import type {
  AssignmentResponse,
  HeartbeatResponse,
  RegisterRequest,
  RegisterResponse,
  StatusesRequest,
  StatusesResponse,
} from '../../shared/protocol/agent.ts';
import { type Network, NetworkFault } from './network.ts';
import type { Plant } from './plants/plant.ts';
import type { Replica } from './replica.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface AgentLinkParts {
  readonly node: string;
  readonly process: SimulatedProcess;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly plant: Plant;
  readonly random: SeededRandom;
  /** Whether the node has a token of its own; survives the agent. */
  readonly admission: { isAdmitted: boolean };
  /** Whether disks are copied in this world, so that agents may be taken for others and be refused. */
  readonly areDisksCopied?: boolean;
  readonly trace: (what: string) => void;
  readonly onBug: (name: string, error: unknown) => void;
}

const CALL_TIMEOUT_MS = 15_000;
/** How often an agent's calls move to another replica, as behind a load balancer. */
const MOVE_CHANCE = 0.1;

export class AgentLink implements ControlPlane {
  readonly #parts: AgentLinkParts;
  #replica: Replica;

  constructor(parts: AgentLinkParts) {
    this.#parts = parts;
    this.#replica = parts.random.pick(parts.replicas);
  }

  async register(request: RegisterRequest, signal: AbortSignal): Promise<RegisterResponse> {
    const { node, admission } = this.#parts;
    const principal = admission.isAdmitted ? nodePrincipal(node) : JOINER;
    // The epoch that it will get isn't known yet; what registration writes is no status.
    const registered = await this.#call({ epoch: 0, signal, timeoutMs: CALL_TIMEOUT_MS }, (ctx) =>
      registerNode(ctx, principal, request),
    ).catch((error: unknown) => this.#tellIfForeign(error));
    admission.isAdmitted = true;
    this.#parts.trace(`joined with epoch ${registered.epoch}`);
    return { ...registered, nodeToken: `token of ${node}` };
  }

  /** Where nobody copies a disk or declares a node gone no agent may be taken for another, whatever has been lost or repeated. */
  #tellIfForeign(error: unknown): never {
    const { node, areDisksCopied = false, onBug } = this.#parts;
    if (areDisksCopied) throw error;
    if (error instanceof ControlPlaneFault && (error.kind === 'mismatch' || error.kind === 'gone')) onBug(node, error);
    throw error;
  }

  assignment(epoch: number, query: AssignmentQuery, signal: AbortSignal): Promise<AssignmentResponse | null> {
    const timeoutMs = query.waitMs + CALL_TIMEOUT_MS;
    const { position, waitMs } = query;
    const streamsVersion = query.streamsVersion ?? '';
    return this.#call({ epoch, signal, timeoutMs }, (ctx, gone) =>
      waitForAssignment(ctx, this.#session(ctx, epoch), { position, streamsVersion, waitMs, signal: gone }),
    );
  }

  async heartbeat(epoch: number, _sentAtMs: number, signal: AbortSignal): Promise<HeartbeatResponse> {
    await this.#call({ epoch, signal, timeoutMs: CALL_TIMEOUT_MS }, (ctx) => heartbeat(ctx, this.#session(ctx, epoch)));
    return { nodeToken: null };
  }

  statuses(epoch: number, request: StatusesRequest, signal: AbortSignal): Promise<StatusesResponse> {
    const { trace } = this.#parts;
    const told = request.statuses.map(({ task, state }) => `${task} ${state}`);
    trace(`epoch ${epoch} tells: ${[...told, ...request.released.map((task) => `${task} released`)].join(', ')}`);
    return this.#call({ epoch, signal, timeoutMs: CALL_TIMEOUT_MS }, (ctx) =>
      commitStatuses(ctx, this.#session(ctx, epoch), request),
    );
  }

  /** No client of the simulated world asks for output. */
  stream(): Promise<void> {
    return Promise.reject(new ControlPlaneFault('refused', 'output is not simulated'));
  }

  /** Nor are there executors. */
  messages(): Promise<never> {
    return Promise.reject(new ControlPlaneFault('refused', 'messages are not simulated'));
  }

  /** No task is given any. */
  identity(): Promise<never> {
    return Promise.reject(new ControlPlaneFault('refused', 'tokens of tasks are not simulated'));
  }

  secrets(): Promise<never> {
    return Promise.reject(new ControlPlaneFault('refused', 'secrets are not simulated'));
  }

  #session(ctx: ServiceContext, epoch: number): NodeSession {
    const { node, plant } = this.#parts;
    return plant.session?.(ctx, { node, epoch }) ?? { node, epoch };
  }

  async #call<T>(
    { epoch, signal, timeoutMs }: { readonly epoch: number; readonly signal: AbortSignal; readonly timeoutMs: number },
    work: (ctx: ServiceContext, gone: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { node, process, network, random, replicas } = this.#parts;
    if (random.chance(MOVE_CHANCE)) this.#replica = random.pick(replicas);
    const replica = this.#replica;
    try {
      return await network.call({
        from: process,
        to: replica.process,
        timeoutMs,
        signal,
        work: async (gone) => {
          const ctx = replica.contextFor({ node, epoch });
          if (ctx === null) throw new Refusal('unavailable', 'the replica is starting');
          return work(ctx, gone);
        },
      });
    } catch (error) {
      const fault = faultOf(error);
      if (fault.kind === 'away') this.#replica = random.pick(replicas);
      throw fault;
    }
  }
}

/** What the agent's adapter would make of the answer. Anything unexpected goes on as it is: it is a bug. */
function faultOf(error: unknown): ControlPlaneFault {
  if (error instanceof NetworkFault) return new ControlPlaneFault('away', error.message);
  if (error instanceof StoreUnavailableError || error instanceof LeaseGoneError) {
    return new ControlPlaneFault('away', error.message);
  }
  if (error instanceof Refusal) return new ControlPlaneFault(kindOf(error), error.message);
  throw error;
}

function kindOf({ code }: Refusal): ControlPlaneFaultKind {
  if (code === 'stale-epoch' || code === 'unauthenticated') return code;
  if (code === 'identity-mismatch') return 'mismatch';
  if (code === 'node-gone') return 'gone';
  return code === 'unavailable' ? 'away' : 'refused';
}

const ANYBODY = { tokenId: 'simulated', grants: [] } as const;
const JOINER: Principal = { ...ANYBODY, kind: 'join', subject: 'joiner', node: null };

function nodePrincipal(node: string): Principal {
  return { ...ANYBODY, kind: 'node', subject: node, node };
}
