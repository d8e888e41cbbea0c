/** The scheduler's explanation, as the API shows it. */
import type { ExplanationView } from '../../shared/protocol/views.ts';
import type { Explanation } from '../scheduler/explain.ts';

export function explanationView(explanation: Explanation): ExplanationView {
  const { closest } = explanation;
  return {
    summary: explanation.summary,
    nodesTotal: explanation.nodesTotal,
    refusals: explanation.refusals.map(({ code, nodes, message }) => ({ code, nodes, message })),
    closest: closest === null ? null : { node: closest.node, message: closest.message },
  };
}
