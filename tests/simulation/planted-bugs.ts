/**
 * Bugs that are put in on purpose, to prove that the simulator finds their like. Each sits in a seam between the product
 * and the world, never in the product's code, and makes it behave as if a line of it had been forgotten.
 */
import { changed } from '../support/changed-store.ts';
import { forgettingContainers, releasingAtOnce, startingAnew, unguarded, withAssignment } from './plants/in-agent.ts';
import {
  acknowledgedAhead,
  believingInHealth,
  blindToMaintenance,
  blindToOffers,
  ofAnySession,
  withoutAnswerCompares,
  withoutHeardCompares,
} from './plants/in-frameworks.ts';
import {
  answerLater,
  late,
  lateAndUnrelied,
  placeInTwo,
  planAtOnce,
  skipping,
  withFreshIds,
  withoutDeploymentCompares,
  withoutEndCompares,
  withoutFence,
  withoutLedgerCompares,
  withoutStatusCompares,
  withTransact,
} from './plants/in-store.ts';
import type { Plant } from './plants/plant.ts';

export interface PlantedBug extends Plant {
  /** The invariants that it breaks, by their numbers. */
  readonly breaks: readonly number[];
  /** It shows in one of so many seeds, counted from the first. */
  readonly seedsMax: number;
}

export const PLANTED_BUGS = {
  /** A round commits without looking whether it is still the current one. */
  'unfenced-round': {
    breaks: [3],
    seedsMax: 25,
    store: (store) => withTransact(store, withoutFence),
  },
  /** A round plans on a mirror that hasn't seen its own claim yet. */
  'early-plan': {
    breaks: [3],
    seedsMax: 25,
    store: (store, place) => changed(store, { transact: (each) => planAtOnce(store, each, place) }),
  },
  /** A round puts ledgers without comparing that they are as it saw them. What somebody else noted there may be lost for good. */
  'blind-ledger': {
    breaks: [2, 3, 4, 6, 9, 10],
    seedsMax: 40,
    store: (store) => withTransact(store, withoutLedgerCompares),
  },
  /** Ledger and task are written in two transactions. */
  'split-placement': {
    breaks: [4],
    seedsMax: 25,
    store: (store) => changed(store, { transact: (each) => placeInTwo(store, each) }),
  },
  /** Statuses are committed without comparing the epoch or the task's record. */
  'blind-status': {
    breaks: [4, 5],
    seedsMax: 25,
    store: (store, { origin }) => (origin.session === null ? store : withTransact(store, withoutStatusCompares)),
  },
  /** An end that a task has come to is overwritten when it is to stop, or when its node is given up. */
  'overwritten-end': {
    breaks: [4],
    seedsMax: 25,
    store: (store, { origin }) => (origin.session === null ? withTransact(store, withoutEndCompares) : store),
  },
  /** A step of a service is committed, late, without comparing that its deployment and what it relies on are as they were seen. */
  'unrelied-step': {
    breaks: [11],
    seedsMax: 40,
    store: (store, place) => (place.origin.framework === undefined ? lateAndUnrelied(store, place) : store),
  },
  /** Passes take whatever runs for healthy, so that old tasks go before new ones work. */
  'believed-health': { breaks: [11], seedsMax: 25, driverMirror: believingInHealth },
  /** A pass moves a deployment on without comparing that nobody else has ended it. */
  'blind-deployment': {
    breaks: [12],
    seedsMax: 25,
    store: (store) => withTransact(store, withoutDeploymentCompares),
  },
  /** Agents' calls are served whatever epoch they name. */
  'unchecked-epoch': {
    breaks: [5],
    seedsMax: 40,
    session: ({ mirror }, { node, epoch }) => ({ node, epoch: Math.max(epoch, mirror.snapshot.epochOf(node)) }),
  },
  /** A pass creates tasks under ids that aren't derived. */
  'fresh-ids': {
    breaks: [4],
    seedsMax: 25,
    store: (store, { random }) => withTransact(store, (each) => withFreshIds(each, random)),
  },
  /** The answer to a request is remembered only after the request has been carried out. */
  'late-answer': {
    breaks: [1],
    seedsMax: 25,
    store: (store) => changed(store, { transact: (each) => answerLater(store, each) }),
  },
  /** A watch that broke off is taken up again one revision too late. */
  'watch-off-by-one': {
    breaks: [7],
    seedsMax: 25,
    resumeWatch: (next, reached) => (next <= reached ? next + 1 : next),
  },
  /** A mirror overlooks a change now and then. */
  'skipped-event': {
    breaks: [7],
    seedsMax: 25,
    store: (store, { random }) => changed(store, { watch: (request) => skipping(store.watch(request), random) }),
  },
  /** A replica answers a client that has seen more than the replica has. */
  'answer-from-the-past': { breaks: [8], seedsMax: 25, catchesUp: false },
  /** A stream of events is taken up again one revision too late. */
  'event-gap': { breaks: [8], seedsMax: 25, resumeEvents: (after) => after + 1 },
  /** Nobody asks for which roles a token is. */
  'open-roles': {
    breaks: [9],
    seedsMax: 25,
    principal: (own) => ({ ...own, grants: [{ roles: ['*'], actions: ['*'] }] }),
  },
  /** An agent that comes back starts what it finds assigned, whether it has ended or not. */
  'end-started-again': { breaks: [4], seedsMax: 25, agent: startingAnew },
  /** An agent gives a place back while what held it still runs. */
  'early-release': { breaks: [6], seedsMax: 25, agent: releasingAtOnce },
  /** An agent that comes back doesn't see what its predecessor left running. */
  'forgotten-containers': { breaks: [6, 10], seedsMax: 25, agent: forgettingContainers },
  /** An agent overlooks that a task is to stop. */
  'unheeded-stop': {
    breaks: [6, 10],
    seedsMax: 25,
    agent: (seams) => withAssignment(seams, (task) => ({ ...task, stop: null })),
  },
  /** An answer to an offer is committed without comparing that the offer still stands: it is accepted twice. */
  'offer-twice': {
    breaks: [2, 4, 9],
    seedsMax: 40,
    store: (store, { origin }) => (origin.framework === undefined ? store : withTransact(store, withoutAnswerCompares)),
  },
  /** Frameworks' calls are served, late, whatever session they name: one accepts after its session has moved. */
  'moved-session': {
    breaks: [5],
    seedsMax: 40,
    acting: ofAnySession,
    store: (store, place) => (place.origin.framework === undefined ? store : late(store, place)),
  },
  /** What is offered isn't charged before it is accepted, so that two accepts pass a role's limit together. */
  'uncharged-offers': { breaks: [2], seedsMax: 40, driverMirror: blindToOffers },
  /** Rounds and passes overlook that a node is out of service. */
  'blind-to-maintenance': { breaks: [9, 10], seedsMax: 40, driverMirror: blindToMaintenance },
  /** Acknowledgements are committed without comparing the task's record. */
  'blind-acknowledge': {
    breaks: [4, 5],
    seedsMax: 100,
    store: (store, { origin }) => (origin.framework === undefined ? store : withTransact(store, withoutHeardCompares)),
  },
  /** To acknowledge one update acknowledges those after it as well, which are never told then. */
  'acknowledged-ahead': {
    breaks: [8],
    seedsMax: 40,
    store: (store, { origin }) => (origin.framework === undefined ? store : withTransact(store, acknowledgedAhead)),
  },
} satisfies Readonly<Record<string, PlantedBug>>;

/** Found in a world of its own, where nodes are cut off for longer than elsewhere: `cut-offs.ts`. */
export const SLEEPING_DEAD_MAN: Plant = { agent: unguarded };

export type BugName = keyof typeof PLANTED_BUGS;

export function isBugName(name: string): name is BugName {
  return Object.hasOwn(PLANTED_BUGS, name);
}

/** As its type says, whichever it is. */
export function plantedBug(name: BugName): PlantedBug {
  return PLANTED_BUGS[name];
}
