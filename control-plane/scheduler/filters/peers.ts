/**
 * What the job's and the group's constraints, and spreads with a bound, ask of where the other tasks of the group are. Unlike those of
 * other filters its answers come and go within a round, with each task that is placed.
 */

import type { Demand } from '../demand.ts';
import { admitsPeer, describePeerRefusal, type PeerRule } from '../peer-rules.ts';
import { attributeOf } from '../peers.ts';
import type { Room } from '../room.ts';
import { allOrNothing, type Filter } from './filter.ts';

export const peersFilter: Filter = {
  obstacle: 'peers',
  applies: (demand) => demand.peers.length > 0,
  admits: (room, demand) => brokenRules(room, demand).length === 0,
  shortage: allOrNothing,
  explain: (room, demand) => {
    const peers = room.peers.of(demand);
    const broken = brokenRules(room, demand);
    return broken
      .map((rule) =>
        describePeerRefusal(rule, attributeOf(room.node.attributes, rule.attribute), peers.by(rule.attribute)),
      )
      .join(' and ');
  },
  sum: (nodes, demand) =>
    `${nodes === 1 ? 'is' : 'are'} out of the question where the other tasks of the group are (${demand.peers.map(({ text }) => text).join(', ')})`,
};

function brokenRules(room: Room, demand: Demand): PeerRule[] {
  const peers = room.peers.of(demand);
  return demand.peers.filter(
    (rule) => !admitsPeer(rule, attributeOf(room.node.attributes, rule.attribute), peers.by(rule.attribute)),
  );
}
