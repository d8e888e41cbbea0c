/** A status that the control plane will never take must not hold up those that it would. */
import { expect, it } from 'vitest';
import { ControlPlaneFault, type ControlPlaneFaultKind } from '../../../node-agent/executor/contracts.ts';
import type { StatusesRequest } from '../../../shared/protocol/agent.ts';
import { aCheck } from '../../support/fake-probes.ts';
import { LONG_RUNNING } from '../../support/fake-runtime.ts';
import { anAssigned, World } from './world.ts';

/** Refuses every batch that names the task `bad`. */
async function worldRefusing(kind: ControlPlaneFaultKind) {
  const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, startMs: 0 }) } });
  const batches: StatusesRequest[] = [];
  const refusing = new Proxy(world.controlPlane, {
    get(target, name) {
      if (name === 'statuses') {
        return (epoch: number, request: StatusesRequest) => {
          batches.push(request);
          const names = [...request.statuses.map((status) => status.task), ...request.released];
          if (names.includes('bad')) return Promise.reject(new ControlPlaneFault(kind, 'HTTP 400: not like this'));
          return target.statuses(epoch, request);
        };
      }
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  world.controlPlane.assign(...['a', 'b', 'bad', 'c', 'd'].map((id) => anAssigned(id)));
  await world.startAgent({ controlPlane: refusing });
  return { world, batches };
}

it('is dropped and logged, and the others are told', async () => {
  const { world } = await worldRefusing('invalid');
  await world.clock.advance(10_000);
  for (const id of ['a', 'b', 'c', 'd']) expect(world.controlPlane.stateOf(id)).toBe('running');
  expect(world.logged.filter((entry) => entry.message.includes('will never be taken'))).toHaveLength(2);
  expect(world.agent.inspect().tasks.get('bad')?.unanswered).toEqual([]);
});

it('is kept and told again where the control plane refuses for another reason', async () => {
  const { world, batches } = await worldRefusing('refused');
  await world.clock.advance(10_000);
  expect(world.agent.inspect().tasks.get('bad')?.unanswered).not.toEqual([]);
  const before = batches.length;
  await world.clock.advance(60_000);
  expect(batches.length).toBeGreaterThan(before);
  expect(batches.length).toBeLessThan(before + 60);
});

it('a release that is refused for good is dropped like a status', async () => {
  const { world } = await worldRefusing('invalid');
  await world.clock.advance(1000);
  world.controlPlane.change('bad', { disowned: true });
  world.controlPlane.change('a', { disowned: true });
  await world.clock.advance(20_000);
  expect(world.controlPlane.received.released).toEqual(['a']);
  expect(world.agent.inspect().tasks.get('bad')?.release).toBe('answered');
});

it('a report of health that is refused for good is dropped like a status, and the others are told', async () => {
  const world = new World({ engine: { behaviour: () => ({ ...LONG_RUNNING, startMs: 0 }) } });
  const takes = world.controlPlane.statuses.bind(world.controlPlane);
  world.controlPlane.statuses = (epoch, request) =>
    request.health?.some(({ task }) => task === 'bad')
      ? Promise.reject(new ControlPlaneFault('invalid', 'HTTP 400: not like this'))
      : takes(epoch, request);
  const group = { checks: [aCheck()] };
  world.controlPlane.assign(...['a', 'b', 'bad', 'c'].map((id) => anAssigned(id, { group, ports: { http: 1 } })));
  await world.startAgent();
  await world.clock.advance(10_000);
  expect(new Set(world.controlPlane.received.health.map(({ task }) => task))).toEqual(new Set(['a', 'b', 'c']));
  expect(world.logged.filter((entry) => entry.message.includes('will never be taken'))).toHaveLength(1);
  for (const id of ['a', 'b', 'bad', 'c']) expect(world.controlPlane.stateOf(id)).toBe('running');
});
