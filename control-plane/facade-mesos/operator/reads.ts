/** What operators ask for: everything that changes nothing. */
import type { Principal } from '../../auth/principal.ts';
import { type Inventory, takeInventory, takeWholeInventory } from '../../services/inventory.ts';
import { listRoles } from '../../services/roles.ts';
import { getSettings } from '../../services/settings.ts';
import type { Caller } from '../http/caller.ts';
import { jsonAnswer } from '../http/json-out.ts';
import { objectPart, pieceByPiece, type Turns } from '../http/json-pieces.ts';
import type { ServedRequest } from '../http/serve.ts';
import type { FacadeParts } from '../parts.ts';
import { Scene } from '../state/scene.ts';
import { MESOS_VERSION, masterInfoOf } from '../translate/addresses.ts';
import { wireFrameworkId } from '../translate/annotations.ts';
import { metricsSnapshot } from '../translate/metrics-snapshot.ts';
import { operatorRole } from '../translate/operator-views.ts';
import { quotaStatus, weightInfos } from '../translate/quota.ts';
import { stateFlags } from '../translate/state-flags.ts';
import { agentsDocument, executorsDocument, frameworksDocument, stateDocument, tasksDocument } from './documents.ts';
import { maintenanceSchedule, maintenanceStatus } from './maintenance.ts';
import type { ValidCall } from './validate.ts';

export type Asked = Pick<ServedRequest, 'url'> & { readonly caller: Caller };

const ROLES_MAX = 100_000;

/** Berth's log has no levels that are turned up from outside; 0 is how Mesos calls the usual one. */
const LOGGING_LEVEL = 0;

export class OperatorReader {
  readonly #parts: FacadeParts;
  readonly #turns: Turns;
  readonly #sinceMs: number;

  constructor(parts: FacadeParts, turns: Turns) {
    this.#parts = parts;
    this.#turns = turns;
    this.#sinceMs = parts.ctx.clock.now();
  }

  /** Null: it is no call of this kind. */
  answer(type: ValidCall['type'], asked: Asked): Response | null {
    const { url, caller } = asked;
    const small = this.#smallAnswer(type, asked);
    if (small !== null) return jsonAnswer(url, { type, [type.toLowerCase()]: small });
    const document = DOCUMENTS.get(type);
    if (document === undefined) return null;
    const part = objectPart({
      type,
      [type.toLowerCase()]: document(this.sceneOf(takeInventory(this.#parts.ctx, caller.principal), url)),
    });
    return this.#written(url, part);
  }

  sceneOf(inventory: Inventory, url: URL): Scene {
    return new Scene(inventory, { host: url.hostname, sinceMs: this.#sinceMs });
  }

  #smallAnswer(type: ValidCall['type'], { url, caller: { principal } }: Asked): object | null {
    const { ctx, signal } = this.#parts;
    switch (type) {
      case 'GET_HEALTH':
        return { healthy: !signal.aborted };
      case 'GET_VERSION':
        return { version_info: { version: MESOS_VERSION, build_user: 'berth' } };
      case 'GET_FLAGS':
        return { flags: named(stateFlags(getSettings(ctx, principal))) };
      case 'GET_METRICS':
        return { metrics: named(this.#metrics(principal)) };
      case 'GET_LOGGING_LEVEL':
        return { level: LOGGING_LEVEL };
      case 'GET_MASTER': {
        const since = this.#sinceMs / 1000;
        const info = masterInfoOf({ id: ctx.replica.id, url: url.origin });
        return { master_info: info, start_time: since, elected_time: since };
      }
      case 'GET_ROLES':
        return { roles: this.#roles(principal) };
      case 'GET_WEIGHTS':
        return { weight_infos: weightInfos(takeInventory(ctx, principal).roles) };
      case 'GET_QUOTA':
        return { status: quotaStatus(takeInventory(ctx, principal).roles) };
      case 'GET_MAINTENANCE_SCHEDULE':
        return { schedule: maintenanceSchedule(this.#parts, principal) };
      case 'GET_MAINTENANCE_STATUS':
        return { status: maintenanceStatus(this.#parts, principal) };
      case 'GET_OPERATIONS':
        // What is asked for here is done by the time that it is answered, so none is ever under way.
        return {};
      default:
        return null;
    }
  }

  #metrics(principal: Principal): Readonly<Record<string, number>> {
    const { ctx, metrics } = this.#parts;
    const uptimeSeconds = (ctx.clock.now() - this.#sinceMs) / 1000;
    const rounds = metrics.summary('berth_round_seconds');
    return metricsSnapshot(takeWholeInventory(ctx, principal), { uptimeSeconds, rounds });
  }

  #roles(principal: Principal): object[] {
    const { ctx } = this.#parts;
    const { items } = listRoles(ctx, principal, { below: null }, { limit: ROLES_MAX, after: null });
    const { frameworks, tasksOfJobs } = takeInventory(ctx, principal);
    const users = {
      wireIds: new Map(frameworks.map(({ framework }) => [framework.id, wireFrameworkId(framework)])),
      own: new Set(tasksOfJobs.map(({ task }) => task.role)),
    };
    return items.map((view) => operatorRole(view, users));
  }

  #written(url: URL, part: unknown): Response {
    const { ctx, signal } = this.#parts;
    return pieceByPiece(url, part, { clock: ctx.clock, turns: this.#turns, signal });
  }
}

const DOCUMENTS: ReadonlyMap<ValidCall['type'], (scene: Scene) => object> = new Map([
  ['GET_STATE', stateDocument],
  ['GET_TASKS', tasksDocument],
  ['GET_EXECUTORS', executorsDocument],
  ['GET_FRAMEWORKS', frameworksDocument],
  ['GET_AGENTS', agentsDocument],
]);

function named<T>(values: Readonly<Record<string, T>>): { readonly name: string; readonly value: T }[] {
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}
