/** `/master/state` of a cluster that a test describes, as a client reads it. */
import type { Principal } from '../../../control-plane/auth/principal.ts';
import { jsonPieces } from '../../../control-plane/facade-mesos/http/json-pieces.ts';
import { stateDocument } from '../../../control-plane/facade-mesos/state/documents.ts';
import { Scene } from '../../../control-plane/facade-mesos/state/scene.ts';
import { masterInfoOf } from '../../../control-plane/facade-mesos/translate/addresses.ts';
import { pickUp, sightOf } from '../../../control-plane/services/inventory.ts';
import { present } from '../../../shared/util/assert.ts';
import { type ClusterLiteral, clusterOf, T0 } from '../../support/builders.ts';
import { ADMIN } from '../../support/replica.ts';

export function sceneOf(literal: ClusterLiteral, principal: Principal = ADMIN): Scene {
  const inventory = pickUp(clusterOf(literal), { clusterId: 'c1', nowMs: T0 }, sightOf(principal));
  return new Scene(inventory, { host: '10.0.0.9', sinceMs: T0 });
}

/** Of its members, those that tests look into one by one. */
export interface ShownState {
  readonly slaves: readonly Shown[];
  readonly frameworks: readonly ShownFramework[];
  readonly completed_frameworks: readonly ShownFramework[];
  readonly [member: string]: unknown;
}

export type Shown = Readonly<Record<string, unknown>>;

export type ShownFramework = Shown & {
  readonly [list in 'tasks' | 'unreachable_tasks' | 'completed_tasks' | 'offers' | 'executors']: readonly Shown[];
};

export function stateOf(literal: ClusterLiteral, principal: Principal = ADMIN): ShownState {
  return JSON.parse(stateText(literal, principal)) as ShownState;
}

/** The framework of this id, or of Berth's own jobs. */
export function frameworkOf(state: ShownState, id = 'berth'): ShownFramework {
  return present(
    state.frameworks.find((framework) => framework['id'] === id),
    `framework ${id}`,
  );
}

export function stateText(literal: ClusterLiteral, principal: Principal = ADMIN): string {
  const document = stateDocument(sceneOf(literal, principal), {
    info: masterInfoOf({ id: 'replica-1', url: 'http://10.0.0.9:7878' }),
    clusterId: 'c1',
    startedAtSeconds: T0 / 1000,
    capabilities: ['QUOTA_V2'],
    build: { build_user: 'berth' },
    flags: {},
  });
  return [...jsonPieces(document)].join('');
}
