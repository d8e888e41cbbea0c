/** What clients were told: nothing that was accepted may be refused, forgotten or told differently later. */
import type { History, RequestRecord } from '../history.ts';
import type { Violation } from './violation.ts';

export function checkRequests({ requests }: Pick<History, 'requests'>): Violation[] {
  const byJob = Map.groupBy(requests, ({ job }) => job);
  return [...byJob].flatMap(([job, ofJob]) => [...checkIdentity(job, ofJob), ...ofJob.flatMap(checkAnswer)]);
}

/** One submission, however often it is sent, makes one job. */
function checkIdentity(job: string, requests: readonly RequestRecord[]): Violation[] {
  const uids = new Set(requests.flatMap(({ answer }) => (answer?.type === 'accepted' ? [answer.uid] : [])));
  if (uids.size <= 1) return [];
  const message = `its client was told of ${uids.size} jobs under one name: ${[...uids].join(', ')}`;
  return [{ rule: 'one key makes one job', about: job, message }];
}

/** No request of the workload is one that Berth may refuse; a deletion may find that its own earlier copy has arrived. */
function checkAnswer({ kind, job, attempts, answer }: RequestRecord): Violation[] {
  const found = (rule: string, message: string): Violation[] => [{ rule, about: job, message }];
  if (answer === null) return [];
  switch (answer.type) {
    case 'refused': {
      const message = `${kind}, sent ${attempts} times, was refused with status ${answer.status}: ${answer.detail}`;
      return found('nothing sound is refused', message);
    }
    case 'absent':
      if (kind === 'delete' && answer.uncertain) return [];
      return found('no accepted job is lost', `${kind} was told that there is no such job`);
    case 'accepted':
      if (answer.revision >= answer.seenRevision || answer.revision === 0) return [];
      return found(
        'no view goes back in time',
        `${kind} was answered from revision ${answer.revision}, after its client had seen ${answer.seenRevision}`,
      );
  }
}
