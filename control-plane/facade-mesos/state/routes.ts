/** What tools read: `/master/state` and its like, each with `/master` before it and without. */
import type { Hono } from 'hono';
import { takeInventory, takeWholeInventory } from '../../services/inventory.ts';
import { listRoles } from '../../services/roles.ts';
import { getSettings } from '../../services/settings.ts';
import type { Caller } from '../http/caller.ts';
import { jsonAnswer } from '../http/json-out.ts';
import { pieceByPiece, type Turns } from '../http/json-pieces.ts';
import { type ServedRequest, serve, serveOpen } from '../http/serve.ts';
import type { FacadeParts } from '../parts.ts';
import { MESOS_VERSION, masterInfoOf } from '../translate/addresses.ts';
import { wireFrameworkId } from '../translate/annotations.ts';
import { metricsSnapshot } from '../translate/metrics-snapshot.ts';
import { stateFlags } from '../translate/state-flags.ts';
import { stateRole } from '../translate/state-roles.ts';
import { frameworksDocument, slavesDocument, stateDocument, tasksDocument } from './documents.ts';
import { taskQuery } from './query.ts';
import { Scene } from './scene.ts';
import { summaryDocument } from './summary.ts';

/** What Mesos's master can do that clients ask about. */
const MASTER_CAPABILITIES = ['AGENT_DRAINING', 'QUOTA_V2'];

const BUILD = { build_user: 'berth' };

const ROLES_MAX = 100_000;

type Asked = ServedRequest & { readonly caller: Caller };

export function stateRoutes(app: Hono, parts: FacadeParts, turns: Turns): void {
  const reader = new Reader(parts, turns);
  openRoutes(app, parts);
  const read = (name: string, answer: (asked: Asked) => Response, more: readonly string[] = []) =>
    serve(
      app,
      parts,
      { paths: [...pathsOf(name), ...more], methods: ['GET', 'POST'], realm: 'mesos-master-readonly' },
      answer,
    );
  read('state', (asked) => reader.state(asked));
  read('state-summary', (asked) => reader.summary(asked));
  read('slaves', (asked) => reader.slaves(asked), ['/slaves/:id', '/master/slaves/:id']);
  read('frameworks', (asked) => reader.frameworks(asked));
  read('tasks', (asked) => reader.tasks(asked));
  read('roles', (asked) => reader.roles(asked));
  read('flags', (asked) => reader.flags(asked));
  read('metrics/snapshot', (asked) => reader.metrics(asked));
}

/** Some clients end a path with a slash or with `.json`. */
function pathsOf(name: string): string[] {
  return ['', '/master'].flatMap((before) => ['', '/', '.json'].map((after) => `${before}/${name}${after}`));
}

function openRoutes(app: Hono, parts: FacadeParts): void {
  const open = (name: string, answer: (asked: ServedRequest) => Response) =>
    serveOpen(app, parts, { paths: pathsOf(name), methods: ['GET', 'POST'] }, answer);
  open('version', ({ url }) => jsonAnswer(url, { version: MESOS_VERSION, ...BUILD }));
  open('health', () => new Response(null, { status: parts.signal.aborted ? 503 : 200 }));
  // Every replica leads, so whoever looks for the leader has found it.
  open('redirect', ({ url }) => new Response(null, { status: 307, headers: { location: `//${hostOf(url)}` } }));
}

/** With its port always: some clients take the address apart at the colon. */
function hostOf(url: URL): string {
  const { hostname, port } = masterInfoOf({ id: '', url: url.origin });
  return `${hostname}:${port}`;
}

class Reader {
  readonly #parts: FacadeParts;
  readonly #turns: Turns;
  readonly #sinceMs: number;

  constructor(parts: FacadeParts, turns: Turns) {
    this.#parts = parts;
    this.#turns = turns;
    this.#sinceMs = parts.ctx.clock.now();
  }

  state({ url, caller }: Asked): Response {
    const { ctx } = this.#parts;
    const scene = this.#scene({ url, caller });
    const document = stateDocument(scene, {
      info: masterInfoOf({ id: ctx.replica.id, url: url.origin }),
      clusterId: scene.inventory.clusterId,
      startedAtSeconds: this.#sinceMs / 1000,
      capabilities: MASTER_CAPABILITIES,
      build: BUILD,
      flags: scene.inventory.settings === null ? {} : stateFlags(scene.inventory.settings),
    });
    return this.#written(url, document);
  }

  summary({ url, caller }: Asked): Response {
    const scene = this.#scene({ url, caller });
    const cluster = scene.inventory.clusterId;
    return this.#written(url, summaryDocument(scene, { hostname: url.hostname, cluster }));
  }

  slaves({ url, caller }: Asked): Response {
    const [, named] = /\/slaves\/([^/]+)$/.exec(url.pathname) ?? [];
    const id = named ?? url.searchParams.get('slave_id');
    return this.#written(url, slavesDocument(this.#scene({ url, caller }), id));
  }

  frameworks({ url, caller }: Asked): Response {
    const id = url.searchParams.get('framework_id');
    return this.#written(url, frameworksDocument(this.#scene({ url, caller }), id));
  }

  tasks({ url, caller }: Asked): Response {
    return this.#written(url, tasksDocument(this.#scene({ url, caller }), taskQuery(url.searchParams)));
  }

  roles({ url, caller: { principal } }: Asked): Response {
    const { ctx } = this.#parts;
    const { items } = listRoles(ctx, principal, { below: null }, { limit: ROLES_MAX, after: null });
    const { frameworks, tasksOfJobs } = takeInventory(ctx, principal);
    const users = {
      wireIds: new Map(frameworks.map(({ framework }) => [framework.id, wireFrameworkId(framework)])),
      own: new Set(tasksOfJobs.map(({ task }) => task.role)),
    };
    return jsonAnswer(url, { roles: items.map((view) => stateRole(view, users)) });
  }

  flags({ url, caller: { principal } }: Asked): Response {
    return jsonAnswer(url, { flags: stateFlags(getSettings(this.#parts.ctx, principal)) });
  }

  metrics({ url, caller: { principal } }: Asked): Response {
    const { ctx, metrics } = this.#parts;
    const inventory = takeWholeInventory(ctx, principal);
    const uptimeSeconds = (ctx.clock.now() - this.#sinceMs) / 1000;
    return jsonAnswer(
      url,
      metricsSnapshot(inventory, { uptimeSeconds, rounds: metrics.summary('berth_round_seconds') }),
    );
  }

  #scene({ url, caller }: Pick<Asked, 'url' | 'caller'>): Scene {
    const inventory = takeInventory(this.#parts.ctx, caller.principal);
    return new Scene(inventory, { host: url.hostname, sinceMs: this.#sinceMs });
  }

  #written(url: URL, part: unknown): Response {
    const { ctx, signal } = this.#parts;
    return pieceByPiece(url, part, { clock: ctx.clock, turns: this.#turns, signal });
  }
}
