/**
 * What decides before how full nodes are: preferences, and what the other tasks of a group make of the nodes while its tasks are placed
 * one after the other. Each that gets a place changes that for all nodes at once, so nodes with the same values of what is looked at
 * are judged together.
 */
import type { NodeId } from '../../shared/domain/ids.ts';
import type { Demand } from './demand.ts';
import { PEER_FILTERS } from './filters/all.ts';
import { attributeOf, type GroupPeers } from './peers.ts';
import { lastingPoints, spreadPoints, TARGET_POINTS } from './preferences.ts';
import type { Room } from './room.ts';

/** Where the others of the group allow none more. */
export const BARRED = Number.NEGATIVE_INFINITY;

export class Steered {
  readonly #demand: Demand;
  /** Null: it makes no difference where the others are. */
  readonly #peers: GroupPeers | null;
  readonly #localities = new Map<string, Locality>();
  readonly #byRoom = new Map<NodeId, Standing>();
  #versionSeen = -1;

  constructor(demand: Demand, rooms: readonly Room[]) {
    this.#demand = demand;
    const [first] = rooms;
    const looksAround = demand.peers.length > 0 || demand.spreads.length > 0;
    this.#peers = looksAround && first !== undefined ? first.peers.of(demand) : null;
    const attributes = [...new Set([...demand.peers, ...demand.spreads].map(({ attribute }) => attribute))];
    for (const room of rooms) {
      const values = attributes.map((attribute) => attributeOf(room.node.attributes, attribute) ?? null);
      const locality = this.#localityOf(JSON.stringify(values), room);
      this.#byRoom.set(room.id, { lasting: lastingPoints(room, demand), locality });
    }
  }

  /** Brings everything up to what has been placed by now. */
  look(): void {
    if (this.#peers === null || this.#peers.version === this.#versionSeen) return;
    this.#versionSeen = this.#peers.version;
    for (const locality of this.#localities.values()) {
      const isOpen = PEER_FILTERS.every((filter) => filter.admits(locality.room, this.#demand));
      locality.points = isOpen ? spreadPoints(locality.room, this.#demand, this.#peers) : BARRED;
    }
  }

  /** `target`: the node that the task was made for, if it will do. */
  pointsOf(room: Room, target: NodeId | null): number {
    const standing = this.#byRoom.get(room.id);
    if (standing === undefined) return BARRED;
    const points = standing.lasting + standing.locality.points;
    return room.id === target ? points + TARGET_POINTS : points;
  }

  #localityOf(key: string, room: Room): Locality {
    const locality = this.#localities.get(key) ?? { room, points: 0 };
    this.#localities.set(key, locality);
    return locality;
  }
}

interface Standing {
  /** Of what doesn't change within a round. */
  readonly lasting: number;
  readonly locality: Locality;
}

/** Nodes that are all one to the group, but for what is left of each. */
interface Locality {
  /** One of them, to ask about. */
  readonly room: Room;
  points: number;
}
