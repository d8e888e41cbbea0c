/** What the control plane's answers mean to an agent. */
import { describe, expect, it } from 'vitest';
import { assignmentResponse, faultIn, registerResponse } from '../../../node-agent/adapters/control-plane/answers.ts';

const problem = (code: string, detail = 'because') => JSON.stringify({ code, title: 'No', detail });

describe('an answer', () => {
  it.each([
    [200, '{}', null],
    [204, '', null],
    [401, problem('unauthenticated'), 'unauthenticated'],
    [409, problem('stale-epoch'), 'stale-epoch'],
    [409, problem('conflict'), 'refused'],
    [403, problem('forbidden'), 'refused'],
    [404, '<html>not here</html>', 'refused'],
    [400, problem('invalid-request'), 'invalid'],
    [413, problem('payload-too-large'), 'invalid'],
    [400, '<html>bad request</html>', 'refused'],
    [408, '', 'away'],
    [429, problem('limit-exceeded'), 'away'],
    [502, '<html>bad gateway</html>', 'away'],
    [503, problem('unavailable'), 'away'],
  ])('of %d with %s', (status, body, kind) => {
    expect(faultIn({ status, body })?.kind ?? null).toBe(kind);
  });

  it("carries the server's own words", () => {
    expect(faultIn({ status: 409, body: problem('conflict', 'node "n1" is connected already') })?.message).toBe(
      'HTTP 409: node "n1" is connected already',
    );
  });

  it.each([
    '',
    '[]',
    'null',
    '{"position":null}',
    '{"position":{"incarnation":1,"generation":1},"groups":{},"tasks":{}}',
    '{"position":{"incarnation":1,"generation":1},"tasks":[]}',
    '{"position":{"incarnation":1,"generation":1},"groups":{},"tasks":[{"group":"a/1/main"}],"streams":[],"streamsVersion":""}',
    '<html>',
  ])('that is no assignment is not taken for one: %s', (body) => {
    expect(() => assignmentResponse(body)).toThrow('lacks');
  });

  it('that is no registration is not taken for one', () => {
    expect(() => registerResponse('{"epoch":1,"incarnation":1,"heartbeatIntervalMs":1,"leaseTtlMs":1}')).toThrow(
      'nodeToken',
    );
  });
});
