import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { negotiated } from '../../../control-plane/api/input/accept.ts';
import { check } from '../../../control-plane/api/input/faults.ts';
import { readJsonBody } from '../../../control-plane/api/input/json-body.ts';
import { editDistance, nearestName } from '../../../control-plane/api/input/nearest.ts';
import { knownFields } from '../../../control-plane/api/input/schema-shape.ts';
import { sinceTime } from '../../../control-plane/api/routes/task-logs.ts';
import { CUSTOM_RESOURCES_MAX, constraintSchema, jobSpecSchema } from '../../../shared/protocol/job.ts';
import { acceptSchema } from '../../../shared/protocol/offers.ts';
import { findSyntaxFault } from '../../../shared/util/json-syntax.ts';
import { ManualClock } from '../../store/manual-clock.ts';

describe('the nearest name', () => {
  it.each([
    ['imgae', 'image'],
    ['IMAGE', 'image'],
    ['comand', 'command'],
    ['memMib', 'memMiB'],
    ['cuont', 'count'],
    ['x', null],
    ['zzzzzzz', null],
    ['', null],
    ['a'.repeat(1000), null],
  ])('to %j is %j', (typed, meant) => {
    expect(nearestName(typed, ['image', 'command', 'count', 'memMiB', 'ports'])).toBe(meant);
  });

  it('is found by a distance: none to itself, the same both ways, no further than a replacement', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, a)).toBe(0);
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });

  it.each([
    ['ab', 'ba', 1],
    ['abc', 'ac', 1],
    ['abc', 'abcd', 1],
    ['kitten', 'sitting', 3],
  ])('from %s to %s is %i', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });
});

describe('where a text stops being JSON', () => {
  it('is nowhere in JSON', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(undefined, 1, '\t'), (text, indent) => {
        expect(findSyntaxFault(JSON.stringify(JSON.parse(text), null, indent))).toBeNull();
      }),
    );
  });

  it('is somewhere exactly when the platform refuses it', () => {
    const broken = fc.tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom('', '{', ']', '"', ',', ':', '\\', '\n', '-', '0', 'tru', '\u0000'),
    );
    fc.assert(
      fc.property(broken, ([text, at, put]) => {
        const position = at % (text.length + 1);
        const changed = text.slice(0, position) + put + text.slice(position + 1);
        expect(findSyntaxFault(changed) === null).toBe(isJson(changed));
      }),
      { numRuns: 2000 },
    );
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

describe('the fields that a schema knows', () => {
  it.each<[PropertyKey[], string]>([
    [[], 'groups'],
    [['groups', 3], 'image'],
    [['groups', 0, 'resources'], 'memMiB'],
    [['groups', 0, 'retries'], 'delaySeconds'],
    [['constraints', 1], 'operator'],
  ])('are found at %j', (path, field) => {
    expect(knownFields(jobSpecSchema, path)).toContain(field);
  });

  it('are none where any name may stand, or nothing stands', () => {
    expect(knownFields(jobSpecSchema, ['labels'])).toEqual([]);
    expect(knownFields(jobSpecSchema, ['nothing', 'here'])).toEqual([]);
  });

  it('are those of every choice of a union', () => {
    const schema = z.union([z.strictObject({ a: z.string() }), z.strictObject({ b: z.string() })]);
    expect(knownFields(schema, [])).toEqual(['a', 'b']);
  });
});

describe('a check', () => {
  it('says in one sentence what a union would take', () => {
    const schema = z.object({ after: z.union([z.number(), z.literal('never')]) });
    const checked = check(schema, { after: 'later' });
    expect(checked).toEqual({
      ok: false,
      faults: [
        { path: '/after', message: 'must be a number, not the text "later", or must be "never", not the text "later"' },
      ],
    });
  });

  it('says once what is wrong with a value, though it is checked as part of two things', () => {
    const launching = (task: object) =>
      check(acceptSchema, { session: 1, offers: ['1-1-0'], operations: [{ type: 'launch', tasks: [task] }] });
    const task = { task: 'a', image: 'x', resources: { cpus: 1, memMiB: 64 } };
    expect(launching({ ...task, resources: { cpus: -1, memMiB: 64 } })).toEqual({
      ok: false,
      faults: [{ path: '/operations/0/tasks/0/resources/cpus', message: 'must be at least 0.001' }],
    });
    const unknown = launching({ ...task, zzz: 1 });
    expect(unknown).toMatchObject({ ok: false, faults: [{ message: expect.stringMatching(/known are .*image/) }] });
    expect(JSON.stringify(unknown).match(/\bimage\b/g)).toHaveLength(1);
  });

  it.each([
    ['LIKE', 'must be "matches", as Marathon\'s LIKE is called here'],
    ['like', 'must be "matches", as Marathon\'s like is called here'],
    ['UNLIKE', 'must be "notMatches", as Marathon\'s UNLIKE is called here'],
    ['UNIQUE', 'must be "unique", as Marathon\'s UNIQUE is called here'],
    ['CLUSTER', 'must be "cluster", as Marathon\'s CLUSTER is called here'],
    ['GROUP_BY', 'must be "groupBy", as Marathon\'s GROUP_BY is called here'],
    ['MAX_PER', 'must be "maxPer", as Marathon\'s MAX_PER is called here'],
    ['IS', 'must be "is", as Marathon\'s IS is called here'],
    ['EQUALS', expect.stringMatching(/^must be one of "=", .*, not the text "EQUALS"$/)],
    [7, expect.stringMatching(/^must be one of "=", /)],
  ])('says what the operator %s of a constraint is called here', (operator, message) => {
    const checked = check(constraintSchema, { attribute: 'rack', operator, value: 'r1' });
    expect(checked).toEqual({ ok: false, faults: [{ path: '/operator', message }] });
  });

  it('repeats no more than a little of what it refuses', () => {
    const checked = check(z.strictObject({ a: z.number() }), { a: 'x'.repeat(10_000), ['y'.repeat(10_000)]: 1 });
    expect(JSON.stringify(checked).length).toBeLessThan(500);
  });
});

describe('the type that a client wants most', () => {
  const offered = ['text/plain', 'text/event-stream'] as const;
  it.each([
    [null, 'text/plain'],
    ['', 'text/plain'],
    ['*/*', 'text/plain'],
    ['text/event-stream', 'text/event-stream'],
    ['text/*', 'text/plain'],
    ['text/plain;q=0.5, text/event-stream', 'text/event-stream'],
    ['text/plain;q=0, */*', 'text/event-stream'],
    ['TEXT/EVENT-STREAM ; q=0.9, */* ; q=0.1', 'text/event-stream'],
  ])('of %j is %s', (accept, type) => {
    expect(negotiated(accept, offered)).toBe(type);
  });

  it.each(['application/json', 'text/plain;q=0', 'nonsense', 'text/html, image/*'])(
    'is none of ours in %j',
    (accept) => {
      expect(() => negotiated(accept, offered)).toThrow(expect.objectContaining({ code: 'not-acceptable' }));
    },
  );
});

describe('since', () => {
  const nowMs = Date.UTC(2030, 0, 1, 12);
  it.each([
    ['90s', '2030-01-01T11:58:30.000Z'],
    ['1h30m', '2030-01-01T10:30:00.000Z'],
    ['500ms', '2030-01-01T11:59:59.500Z'],
    ['2d', '2029-12-30T12:00:00.000Z'],
    ['999999999d', '1970-01-01T00:00:00.000Z'],
    ['2030-01-01T00:00:00.123456789Z', '2030-01-01T00:00:00.123456789Z'],
    ['2030-01-01T12:00:00.123456789+02:00', '2030-01-01T10:00:00.123456789Z'],
  ])('%s is %s', (text, time) => {
    expect(sinceTime(text, nowMs)).toBe(time);
  });
});

describe('a body that does not come', () => {
  it('is waited for half a minute', async () => {
    const clock = new ManualClock();
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array([123])) });
    const request = new Request('http://x', { method: 'POST', body, duplex: 'half' } as RequestInit);
    const refused = expect(readJsonBody(request, clock)).rejects.toMatchObject({
      code: 'request-timeout',
      message: 'the body did not arrive within 30 s',
    });
    await clock.advance(30_000);
    await refused;
  });
});

describe('how long a task may run while its node is cut off', () => {
  it.each([
    [10, []],
    [31_536_000, []],
    [9.9, ['/stopAfterDisconnectSeconds']],
    [0, ['/stopAfterDisconnectSeconds']],
    [31_536_001, ['/stopAfterDisconnectSeconds']],
    ['never', ['/stopAfterDisconnectSeconds']],
  ])('may be %j: faults at %j', (stopAfterDisconnectSeconds, paths) => {
    const checked = check(jobSpecSchema, { name: 'a', groups: [{ image: 'x' }], stopAfterDisconnectSeconds });
    expect(checked.ok ? [] : checked.faults.map(({ path }) => path)).toEqual(paths);
  });
});

describe('what a group may ask for', () => {
  const faultsOf = (group: object) => {
    const checked = check(jobSpecSchema, { name: 'a', groups: [{ image: 'x', ...group }] });
    return checked.ok ? [] : checked.faults.map(({ path, message }) => `${path} ${message}`);
  };
  const process = { image: undefined, runtime: 'process', command: ['true'] };

  it('is an image, or to run without a container', () => {
    expect(faultsOf({})).toEqual([]);
    expect(faultsOf(process)).toEqual([]);
    expect(faultsOf({ image: undefined })).toEqual(['/groups/0/image is required, unless the runtime is "process"']);
    expect(faultsOf({ ...process, command: undefined })).toEqual([
      expect.stringMatching(/^\/groups\/0\/command is required/),
    ]);
    expect(faultsOf({ ...process, command: ['', 'x'] })).toEqual([
      expect.stringMatching(/^\/groups\/0\/command must begin with a program/),
    ]);
    expect(faultsOf({ command: ['', 'x'] })).toEqual([]);
  });

  it.each<[string, object]>([
    ['image', { image: 'x' }],
    ['pullPolicy', { pullPolicy: 'never' }],
    ['mounts', { mounts: [{ type: 'tmpfs', target: '/a' }] }],
    ['privileged', { privileged: true }],
    ['devices', { devices: ['/dev/kvm'] }],
    ['capAdd', { capAdd: ['NET_ADMIN'] }],
    ['network', { network: 'bridge' }],
    ['network', { network: 'none' }],
  ])('is no %s without a container: %j', (field, change) => {
    expect(faultsOf({ ...process, ...change })).toEqual([expect.stringMatching(new RegExp(`^/groups/0/${field} `))]);
  });

  it('is the network that its runtime has, unless it says which', () => {
    const networkOf = (group: object) => jobSpecSchema.parse({ name: 'a', groups: [group] }).groups[0]?.network;
    expect(networkOf({ image: 'x' })).toBe('bridge');
    expect(networkOf({ image: 'x', network: 'none' })).toBe('none');
    expect(networkOf(process)).toBe('host');
    // As a job is shown it can be submitted again.
    const shown = jobSpecSchema.parse({ name: 'a', groups: [process] });
    expect(jobSpecSchema.parse(shown)).toEqual(shown);
  });

  it.each([
    [{ network: 'bridge' }, []],
    [{}, []],
    [
      { network: 'host' },
      ['/groups/0/ports/0/containerPort is only for the network "bridge"; with "host" nothing is mapped'],
    ],
    [process, ['/groups/0/ports/0/containerPort is only for the network "bridge"; with "host" nothing is mapped']],
  ])('has ports that are mapped only in a network of its own: %j', (change, wanted) => {
    expect(faultsOf({ ...change, ports: [{ name: 'http', containerPort: 80 }] })).toEqual(wanted);
  });

  const named = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, place) => [`r${place}`, 0]));

  it('is so many declared resources', () => {
    expect(faultsOf({ resources: { custom: named(CUSTOM_RESOURCES_MAX) } })).toEqual([]);
    expect(faultsOf({ resources: { custom: named(CUSTOM_RESOURCES_MAX + 1) } })).toEqual([
      `/groups/0/resources/custom must be at most ${CUSTOM_RESOURCES_MAX}`,
    ]);
  });

  it.each([
    [2, []],
    [0.5, ['/groups/0/resources/gpus must be a whole number: a GPU is given to one task as a whole']],
    [-1, ['/groups/0/resources/gpus must be at least 0']],
    ['1', ['/groups/0/resources/gpus must be a number, not the text "1"']],
  ])('is whole GPUs: %j', (gpus, faults) => {
    expect(faultsOf({ resources: { gpus } })).toEqual(faults);
  });
});
