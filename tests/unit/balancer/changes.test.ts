import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinCommands, LINE_BYTES_MAX } from '../../../control-plane/balancer/admin-socket.ts';
import { commandsBetween, withinStructure } from '../../../control-plane/balancer/changes.ts';
import { EMPTY_PLAN, type Plan } from '../../../control-plane/balancer/plan.ts';
import { arbitraryEndpoints } from '../../support/arbitrary-endpoints.ts';
import { endpointOf } from '../../support/endpoints.ts';
import { planOf } from './planned.ts';

/** What haproxy's servers are, as far as they are switched on: `address:port weight`. */
type Servers = Map<string, { place: string; weight: number; isOn: boolean }>;

function serversOf({ backends }: Plan): Servers {
  return new Map(
    backends.flatMap(({ name, slots }) =>
      slots.map(({ address, port, use }, index) => [
        `${name}/s${index + 1}`,
        { place: `${address}:${port}`, weight: use === 'use' ? 100 : 0, isOn: use !== 'off' },
      ]),
    ),
  );
}

/** As haproxy carries them out; a server never moves while it is switched on. */
function carriedOut(servers: Servers, commands: readonly string[]): Servers {
  const after = new Map([...servers].map(([name, server]) => [name, { ...server }]));
  for (const command of commands) {
    const [, , name = '', verb, value = '', , port] = command.split(' ');
    const server = after.get(name);
    if (server === undefined) throw new Error(`there is no server ${name}`);
    if (verb === 'state') server.isOn = value === 'ready';
    if (verb === 'weight') server.weight = Number(value);
    if (verb !== 'addr') continue;
    expect(server.isOn).toBe(false);
    server.place = `${value}:${port}`;
  }
  return after;
}

function onOnly(servers: Servers): Record<string, string> {
  const on = [...servers].filter(([, { isOn }]) => isOn);
  return Object.fromEntries(on.map(([name, { place, weight }]) => [name, `${place} ${weight}`]));
}

describe('the commands between two plans', () => {
  it('of a task that is replaced', () => {
    const one = endpointOf({ task: 'a', port: 1001 });
    const both = [endpointOf({ task: 'a', port: 1001, state: 'draining' }), endpointOf({ task: 'b', port: 1002 })];
    const first = planOf({ endpoints: [one] });
    const second = planOf({ endpoints: both, before: first });
    const third = planOf({ endpoints: both.slice(1), before: second });
    expect(commandsBetween(first, second)).toEqual([
      'set server default:web:main:http/s1 weight 0',
      'set server default:web:main:http/s2 addr 127.0.0.1 port 1002',
      'set server default:web:main:http/s2 weight 100',
      'set server default:web:main:http/s2 state ready',
    ]);
    expect(commandsBetween(second, third)).toEqual(['set server default:web:main:http/s1 state maint']);
    expect(commandsBetween(third, third)).toEqual([]);
  });

  it('bring about what the second says, from any first', () => {
    fc.assert(
      fc.property(arbitraryEndpoints, arbitraryEndpoints, (one, two) => {
        const from = planOf({ endpoints: one });
        const to = withinStructure(from, planOf({ endpoints: two, before: from, nowMs: 1 }));
        expect(onOnly(carriedOut(serversOf(from), commandsBetween(from, to)))).toEqual(onOnly(serversOf(to)));
      }),
    );
  });

  it('fit on lines that haproxy takes', () => {
    const commands = Array.from(
      { length: 500 },
      (_, index) => `set server ${'x'.repeat(index % 90)}/s${index} state maint`,
    );
    const lines = joinCommands(commands);
    expect(lines.join(';').split(';')).toEqual(commands);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(LINE_BYTES_MAX);
    expect(lines.length).toBeLessThan(8);
  });
});

describe('a plan within the structure of another', () => {
  it('has the servers that fit, and nothing of what is new', () => {
    const from = planOf({ endpoints: [endpointOf({ task: 'a' })] });
    const other = endpointOf({ job: 'other', task: 'c', publish: { mode: 'tcp', port: 1001 } });
    const to = withinStructure(from, planOf({ endpoints: [endpointOf({ task: 'b' }), other], before: from }));
    expect(to.backends.map(({ name }) => name)).toEqual(['default:web:main:http']);
    expect(to.backends[0]?.slots.map(({ endpoint }) => endpoint)).toContain('b/http');
    expect(to.ports).toEqual([]);
    expect(withinStructure(from, EMPTY_PLAN).backends[0]?.slots.every(({ use }) => use === 'off')).toBe(true);
  });
});
