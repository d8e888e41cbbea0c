/** GPUs from the agent's registration to the task that holds them, and back. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registerNode } from '../../../control-plane/services/agents.ts';
import { waitForAssignment } from '../../../control-plane/services/assignments.ts';
import { submitJob } from '../../../control-plane/services/jobs.ts';
import { getNode } from '../../../control-plane/services/nodes.ts';
import { taskView } from '../../../control-plane/services/views.ts';
import { registerRequestSchema } from '../../../shared/protocol/agent-schemas.ts';
import { present } from '../../../shared/util/assert.ts';
import {
  ADMIN,
  callOf,
  JOINER,
  nodeOf,
  nodePrincipal,
  specOf,
  startReplica,
  type TestReplica,
} from '../../support/replica.ts';

let replica: TestReplica;

beforeEach(async () => {
  replica = await startReplica();
});
afterEach(() => replica.stop());

const device = (id: string) => ({ id, product: 'NVIDIA H100', memoryMiB: 81_559, driver: '580.1', parent: null });

function nodeWith(ids: readonly string[]) {
  const node = nodeOf('edge-1');
  return { ...node, gpus: ids.map(device), resources: { ...node.resources, gpus: ids.length } };
}

const register = (ids: readonly string[], principal = JOINER) =>
  registerNode(replica.ctx, principal, { node: nodeWith(ids), seen: null, tasks: [] });

/** Places a task that asks for so many, and tells its id. */
async function placed(name: string, gpus: number): Promise<string> {
  const resources = { cpus: 0.1, memMiB: 64, gpus };
  const spec = specOf({ name, groups: [{ image: 'berth/busybox:local', resources }], gpuNodes: 'unrestricted' });
  await submitJob(replica.ctx, callOf(), spec);
  await replica.settle();
  const task = [...replica.ctx.mirror.snapshot.tasks.values()].find(({ jobName }) => jobName === name);
  return present(task, 'task').id;
}

const viewOf = (id: string) =>
  taskView(replica.ctx.mirror.snapshot, present(replica.ctx.mirror.snapshot.tasks.get(id), 'task'));

describe('GPUs that an agent has found', () => {
  it('are held by tasks, one by one, as the node, the task and the agent are told', async () => {
    const { epoch } = await register(['A', 'B', 'C']);
    const [plain, pair] = [await placed('plain', 0), await placed('pair', 2)];
    expect(getNode(replica.ctx, ADMIN, 'edge-1')).toMatchObject({
      total: { gpus: 3 },
      free: { gpus: 1 },
      gpus: [
        { ...device('A'), task: pair },
        { ...device('B'), task: pair },
        { ...device('C'), task: null },
      ],
      missingGpus: [],
    });
    expect([viewOf(plain).gpus, viewOf(pair).gpus]).toEqual([[], ['A', 'B']]);
    const query = { position: null, streamsVersion: '', waitMs: 0, signal: new AbortController().signal };
    const assignment = await waitForAssignment(replica.ctx, { node: 'edge-1', epoch }, query);
    const told = new Map(assignment?.tasks.map(({ id, devices }) => [id, devices]));
    expect([told.get(plain), told.get(pair)]).toEqual([undefined, ['A', 'B']]);
  });

  it('shrink under what is placed when one is lost, which is shown, and the rest can be given away', async () => {
    await register(['A', 'B', 'C']);
    const single = await placed('single', 1);
    await register(['B', 'C'], nodePrincipal('edge-1'));
    expect(getNode(replica.ctx, ADMIN, 'edge-1')).toMatchObject({
      total: { gpus: 2 },
      free: { gpus: 1 },
      gpus: [
        { id: 'B', task: null },
        { id: 'C', task: null },
      ],
      missingGpus: [{ id: 'A', task: single }],
    });
    const next = await placed('next', 1);
    expect(viewOf(next).gpus).toEqual(['B']);
    const waiting = await placed('waiting', 1);
    expect(viewOf(waiting)).toMatchObject({ state: 'pending', gpus: [] });
    await register([], nodePrincipal('edge-1'));
    expect(getNode(replica.ctx, ADMIN, 'edge-1')).toMatchObject({ free: { gpus: -2 }, gpus: [] });
  });
});

describe('a registration', () => {
  const parse = (change: object) =>
    registerRequestSchema.safeParse({ node: { ...nodeWith(['A', 'B']), ...change }, seen: null, tasks: [] });
  const complaints = (change: object) =>
    parse(change).error?.issues.map(({ path, message }) => [path.join('.'), message]);

  it('may name GPUs, or only count them', () => {
    expect(parse({}).success).toBe(true);
    expect(parse({ gpus: [] }).success).toBe(true);
  });

  it('may not name another number of them than it counts, nor one twice, nor one that nobody could be', () => {
    expect(complaints({ gpus: [device('A')] })).toEqual([
      ['node.resources.gpus', 'must be the number of devices in `gpus`, where there are any'],
    ]);
    expect(complaints({ gpus: [device('A'), device('A')] })).toEqual([['node.gpus', 'must not name a device twice']]);
    expect(complaints({ gpus: [device('A'), device('../b')] })).toEqual([
      ['node.gpus.1.id', 'must be the UUID of a device'],
    ]);
  });
});
