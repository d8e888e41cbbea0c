/** What answers on the ports of a node, as a test says. */
import type { ProbeOutcome } from '../../node-agent/core/checks.ts';
import type { Probes, ProbeTarget } from '../../node-agent/executor/contracts.ts';
import type { CheckSpec } from '../../shared/domain/service.ts';

export const PASSES: ProbeOutcome = { type: 'passed', message: 'status 200' };
export const FAILS: ProbeOutcome = { type: 'failed', message: 'status 503' };

/** Of what answers on the port `http`, once each second. */
export function aCheck(change: Partial<CheckSpec> = {}): CheckSpec {
  return {
    ...{ name: 'web', type: 'http', purpose: 'health', port: 'http', intervalSeconds: 1, timeoutSeconds: 1 },
    ...{ graceSeconds: 0, failuresMax: 3, successesMin: 1, onFailure: 'replace', ...change },
  };
}

export class FakeProbes implements Probes {
  /** `hangs`: there is no answer, however long anybody waits. */
  answer: (target: ProbeTarget) => ProbeOutcome | 'hangs' = () => PASSES;
  /** By port, one for each that was begun. */
  readonly made: number[] = [];

  async probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeOutcome> {
    this.made.push(target.port);
    const answer = this.answer(target);
    if (answer !== 'hangs') return answer;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return { type: 'failed', message: 'broken off' };
  }
}
