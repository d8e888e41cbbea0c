/** What tasks are given in confidence: asked for at each start, kept in memory for as long as they have their place, and never told. */
import { describe, expect, it, test } from 'vitest';
import { numericUser, withoutSecrets } from '../../../node-agent/core/secrets.ts';
import type { SecretUse } from '../../../shared/domain/secret.ts';
import type { TaskSecretsResponse } from '../../../shared/protocol/agent.ts';
import { base64Encode, utf8Encode } from '../../../shared/util/codec.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

const VALUE = 'correct-horse-battery-staple';
const USES: readonly SecretUse[] = [
  { name: 'password', env: 'DB_PASSWORD' },
  { name: 'password', file: 'db-password' },
  { name: 'key', role: 'eng', file: '/etc/app/key.pem', mode: '0440', uid: 1000 },
];

function told(value = VALUE): TaskSecretsResponse {
  const secret = (name: string, role: string, text: string) => ({
    ...{ name, role, version: 1, value: base64Encode(utf8Encode(text)) },
  });
  return { secrets: [secret('password', 'default', value), secret('key', 'eng', 'PEM')], missing: [] };
}

const outline = (world: World) => world.controlPlane.historyOf('t1').map(({ state, reason }) => `${state} ${reason}`);

async function started(group: Parameters<typeof anAssigned>[1] = {}, world = new World()): Promise<World> {
  world.controlPlane.taskSecrets.set('t1', told());
  world.controlPlane.assign(anAssigned('t1', { ...group, group: { secrets: USES, ...group?.group } }));
  await world.startAgent();
  await world.clock.advance(500);
  return world;
}

describe('a task that names secrets', () => {
  it('is given them in variables and files of the node’s memory', async () => {
    const world = await started();
    expect(world.runtime.given.get('t1')).toEqual({
      folder: '/memory/t1/secrets',
      variables: { DB_PASSWORD: VALUE },
      files: [
        { source: '/memory/t1/secrets/db-password', target: 'db-password', mode: null, uid: null },
        { source: '/memory/t1/secrets/.file-2', target: '/etc/app/key.pem', mode: '0440', uid: 1000 },
      ],
    });
    expect(outline(world)).toEqual(['starting accepted', 'running started']);
  });

  it('leaves no trace of them in the journal, the statuses and the log', async () => {
    const world = await started();
    await world.clock.advance(60_000);
    await world.crash();
    await world.startAgent();
    world.controlPlane.stop('t1', 1000);
    await world.clock.advance(10_000);
    const traces = [world.journal, await world.journal.load(), world.logged, world.controlPlane.received.statuses];
    const text = JSON.stringify(traces);
    expect(text).toContain('db-password');
    expect(text).not.toContain(VALUE);
    expect(text).not.toContain(base64Encode(utf8Encode(VALUE)));
  });

  it('has nothing in memory any more once it has ended, not even when that can’t be done at once', async () => {
    const world = await started();
    expect([...world.files.held]).toEqual(['t1']);
    world.files.failures = 2;
    world.controlPlane.stop('t1', 1000);
    await world.clock.advance(60_000);
    expect([...world.files.held]).toEqual([]);
    const failed = world.logged.filter(({ message }) => message.startsWith('could not remove what a task was given'));
    expect(failed).toHaveLength(2);
  });

  it('has nothing in memory any more when it has ended while no agent was there', async () => {
    const world = await started({}, new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 2000 }) } }));
    await world.files.write('stranger', 'secrets', []);
    await world.crash();
    await world.clock.advance(5000);
    await world.startAgent();
    await world.clock.advance(1000);
    expect([...world.files.held]).toEqual([]);
  });

  it('waits while they can’t be had, and says so', async () => {
    const world = new World();
    world.controlPlane.assign(anAssigned('t1', { group: { secrets: USES } }));
    await world.startAgent();
    await world.clock.advance(40_000);
    const [first] = world.controlPlane.historyOf('t1');
    expect(first).toMatchObject({ state: 'starting', reason: 'secret-unavailable' });
    expect(first?.message).toContain("its secrets can't be had: ");
    expect(world.runtime.started).toEqual([]);
    world.controlPlane.taskSecrets.set('t1', told());
    await world.clock.advance(20_000);
    expect(world.runtime.started).toEqual(['t1']);
  });

  it.each<[string, TaskSecretsResponse, readonly SecretUse[], string]>([
    [
      'is gone',
      { secrets: [], missing: [{ name: 'a', role: 'b', why: 'secret "a" is gone' }] },
      USES,
      'secret "a" is gone',
    ],
    ['was not told', { secrets: [], missing: [] }, USES, 'secret "password" of role "default" was not told'],
    ['is no text any more', told('a\0b'), USES, 'isn’t text any more'],
  ])('ends when one %s', async (_what, response, uses, why) => {
    const world = new World();
    world.controlPlane.taskSecrets.set('t1', response);
    world.controlPlane.assign(anAssigned('t1', { group: { secrets: uses } }));
    await world.startAgent();
    await world.clock.advance(500);
    const last = world.controlPlane.historyOf('t1').at(-1);
    expect(last).toMatchObject({ state: 'error', reason: 'secret-unavailable' });
    expect(last?.message).toContain(why.replace('’', "'"));
    expect(world.runtime.started).toEqual([]);
  });

  it('is refused by a node that has no memory to keep them in', async () => {
    const world = new World();
    world.files.refusal = 'the node keeps no secrets in memory: /run is on a disk';
    await started({}, world);
    expect(world.controlPlane.historyOf('t1')).toMatchObject([
      { state: 'error', reason: 'refused-by-node', message: expect.stringContaining('/run is on a disk') },
    ]);
    expect(world.controlPlane.askedSecrets).toEqual([]);
  });

  it('is not asked about when it names none', async () => {
    const world = await started({ group: { secrets: undefined } });
    expect(world.runtime.started).toEqual(['t1']);
    expect(world.controlPlane.askedSecrets).toEqual([]);
  });

  it('keeps them out of what the engine says of a start that failed', async () => {
    const refusal = { reason: 'engine-error', message: `bad variable DB_PASSWORD=${VALUE}` } as const;
    const world = await started({}, new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, refusal }) } }));
    expect(world.controlPlane.historyOf('t1').at(-1)).toMatchObject({
      state: 'error',
      message: 'bad variable DB_PASSWORD=(secret)',
    });
  });
});

describe('a further run', () => {
  const inPlace = { max: 5, withinSeconds: 600, delaySeconds: 1, factor: 1, maxDelaySeconds: 1 };
  const group = { restart: { afterReboot: true, inPlace } };
  const shortLived = () => new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, lifeMs: 5000, exitCode: 1 }) } });

  it('gets what is set by then', async () => {
    const world = await started({ group }, shortLived());
    world.controlPlane.taskSecrets.set('t1', told('another-value'));
    await world.clock.advance(7000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
    expect(world.runtime.given.get('t1')?.variables).toEqual({ DB_PASSWORD: 'another-value' });
  });

  it('gets what the one before had while the control plane is away', async () => {
    const world = await started({ group }, shortLived());
    world.controlPlane.fault = 'away';
    await world.clock.advance(20_000);
    expect(world.runtime.startedRuns.slice(0, 2)).toEqual(['t1 run 0', 't1 run 1']);
    expect(world.runtime.given.get('t1')?.variables).toEqual({ DB_PASSWORD: VALUE });
  });

  it('waits for the control plane where the memory is gone with the machine', async () => {
    const world = await started({ group });
    await world.powerCut();
    world.files.folders.clear();
    world.controlPlane.fault = 'away';
    await world.startAgent();
    await world.clock.advance(60_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
    world.controlPlane.fault = null;
    await world.clock.advance(30_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0', 't1 run 1']);
  });

  it('is not begun with what it had when the control plane says no', async () => {
    const world = await started({ group }, shortLived());
    world.controlPlane.taskSecrets.delete('t1');
    await world.clock.advance(10_000);
    expect(world.runtime.startedRuns).toEqual(['t1 run 0']);
  });
});

test.each([
  ['', { uid: 0, gid: 0 }],
  ['root', { uid: 0, gid: 0 }],
  ['1000', { uid: 1000, gid: 0 }],
  ['1000:50', { uid: 1000, gid: 50 }],
  ['1000:staff', { uid: 1000, gid: 0 }],
  ['app', null],
  ['app:50', null],
])('the user %j of a container is %j by number', (user, expected) => {
  expect(numericUser(user)).toEqual(expected);
});

test('words of an engine lose the longest values first, and keep what is too short to mean anything', () => {
  const variables = { A: 'secret', B: 'secret-more', C: 'no' };
  expect(withoutSecrets('no: secret-more and secret', { variables })).toBe('no: (secret) and (secret)');
});
