/** Who sets what roles may have while frameworks run in them, changes it, reserves things for them, and takes nodes out of service. */
import { clearMaintenance, setMaintenance } from '../../../control-plane/services/maintenance.ts';
import { reserveOnNode, unreserveOnNode } from '../../../control-plane/services/reservations.ts';
import { setRole, unsetRole } from '../../../control-plane/services/roles.ts';
import { setSettings } from '../../../control-plane/services/settings.ts';
import { DEFAULT_SETTINGS, type Settings } from '../../../shared/domain/settings.ts';
import { reservationRequestSchema } from '../../../shared/protocol/reservations.ts';
import { sleep } from '../../../shared/util/clock.ts';
import type { Client } from '../client.ts';
import type { Decisions } from '../decisions.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { SimulatedProcess } from '../simulated-process.ts';
import type { Truth } from '../truth.ts';
import { ROLES } from './wishes.ts';

export interface OperatorParts {
  readonly client: Client;
  readonly process: SimulatedProcess;
  readonly random: SeededRandom;
  readonly decisions: Decisions;
  readonly nodes: readonly string[];
  readonly truth: Truth;
}

const WEIGHTS = { setRole: 10, unsetRole: 2, setSettings: 3, reserve: 3, unreserve: 3 } as const;
/** That a request is about when a node is out of service, and then that it takes that back. */
const MAINTENANCE_CHANCE = 0.12;
const CLEAR_CHANCE = 0.25;
const PAUSE_MS: readonly [number, number] = [500, 12_000];
const RETRY_MS = 500;

export class Operator {
  readonly #parts: OperatorParts;
  #requests = 0;
  #writes = 0;
  #isStopped = false;
  #isIdle = false;

  constructor(parts: OperatorParts) {
    this.#parts = parts;
  }

  /** Nothing is bounded or promised any more, and nothing under way. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  stop(): void {
    this.#isStopped = true;
  }

  async run(): Promise<void> {
    const { process, random, decisions } = this.#parts;
    await this.#setSettings(random.split('settings'));
    while (!this.#isStopped) {
      this.#requests += 1;
      const name = `${process.name}/${this.#requests}`;
      const chance = random.split(name);
      await sleep(process.clock, chance.between(...PAUSE_MS));
      if (!this.#isStopped && decisions.take(name)) await this.#request(chance);
    }
    await this.#openUp();
    this.#isIdle = true;
  }

  async #request(random: SeededRandom): Promise<void> {
    const maintenance = random.split('maintenance');
    if (maintenance.chance(MAINTENANCE_CHANCE)) return this.#maintain(maintenance);
    const kind = random.weighted(WEIGHTS);
    switch (kind) {
      case 'setRole':
        return this.#setRole(random);
      case 'unsetRole':
        return this.#unsetRole(random.pick(ROLES));
      case 'setSettings':
        return this.#setSettings(random);
      case 'reserve':
        return this.#reserve(random);
      case 'unreserve':
        return this.#unreserve(random);
      default:
        return kind satisfies never;
    }
  }

  async #setRole(random: SeededRandom): Promise<void> {
    const path = random.pick(ROLES);
    const limit = random.chance(0.6) ? { cpus: random.pick([0.5, 1, 2, 4]) } : {};
    const guarantee = random.chance(0.3) ? { cpus: random.pick([0.5, 1]) } : {};
    const terms = { weight: random.pick([0.5, 1, 2, 4]), limit, guarantee, force: random.chance(0.5) };
    await this.#write(`set role ${path} ${JSON.stringify(terms)}`, (ctx, call) =>
      setRole(ctx, call, path, terms, { ifVersion: null, onlyCreate: false }),
    );
  }

  #unsetRole(path: string): Promise<void> {
    return this.#write(`unset role ${path}`, (ctx, call) => unsetRole(ctx, call, path, { ifVersion: null }));
  }

  async #setSettings(random: SeededRandom): Promise<void> {
    const settings: Settings = {
      ...DEFAULT_SETTINGS,
      gpuNodes: random.pick(['unrestricted', 'unrestricted', 'preferred', 'restricted']),
      offerTimeoutSeconds: random.pick([1, 3, 10, 30]),
      excludedFromShares: random.pick([['gpus'], []]),
    };
    await this.#write(`set ${JSON.stringify(settings)}`, (ctx, call) =>
      setSettings(ctx, call, settings, { ifVersion: null }),
    );
  }

  async #reserve(random: SeededRandom): Promise<void> {
    const node = random.pick(this.#parts.nodes);
    const amounts = { cpus: random.pick([0, 0.5, 1]), diskMiB: random.pick([0, 500]), memMiB: random.pick([64, 500]) };
    const request = reservationRequestSchema.parse({ role: random.pick(ROLES), amounts });
    await this.#write(`reserve on ${node} ${JSON.stringify(request)}`, (ctx, call) =>
      reserveOnNode(ctx, call, node, request),
    );
  }

  async #unreserve(random: SeededRandom): Promise<void> {
    const all = [...this.#parts.truth.snapshot.ledgers.values()].flatMap(({ node, reservations }) =>
      Object.keys(reservations).map((id) => ({ node, id })),
    );
    if (all.length === 0) return;
    const { node, id } = random.pick(all);
    await this.#write(`unreserve ${id} on ${node}`, (ctx, call) => unreserveOnNode(ctx, call, node, id));
  }

  async #maintain(random: SeededRandom): Promise<void> {
    const node = random.pick(this.#parts.nodes);
    if (random.chance(CLEAR_CHANCE)) return this.#clear(node);
    const inMs = random.pick([0, 0, 2000, 10_000]);
    const durationMs = random.pick([null, 1000, 1000, 5000, 5000, 20_000]);
    await this.#write(`maintain ${node} in ${inMs} ms for ${durationMs} ms`, (ctx, call) =>
      setMaintenance(ctx, call, node, { startsAtMs: ctx.clock.now() + inMs, durationMs }),
    );
  }

  #clear(node: string): Promise<void> {
    return this.#write(`clear the maintenance of ${node}`, (ctx, call) => clearMaintenance(ctx, call, node));
  }

  /** So that from then on everybody gets what there is. */
  async #openUp(): Promise<void> {
    const { truth, process } = this.#parts;
    const isOpen = () =>
      truth.snapshot.roles.size + truth.snapshot.maintenance.size === 0 &&
      truth.snapshot.settings.gpuNodes === 'unrestricted';
    while (!isOpen()) {
      for (const path of [...truth.snapshot.roles.keys()]) await this.#unsetRole(path);
      for (const node of [...truth.snapshot.maintenance.keys()]) await this.#clear(node);
      await this.#write('set the settings', (ctx, call) =>
        setSettings(ctx, call, { ...DEFAULT_SETTINGS, gpuNodes: 'unrestricted' }, { ifVersion: null }),
      );
      await sleep(process.clock, RETRY_MS);
    }
  }

  async #write(what: string, run: Parameters<Client['write']>[0]['run']): Promise<void> {
    this.#writes += 1;
    await this.#parts.client.write({ what, key: `${this.#parts.process.name}-${this.#writes}`, role: null, run });
  }
}
