/** A machine with an agent, as the agent describes it, and who holds the session with it. */
import type { NodeId, TaskId } from './ids.ts';
import type { StopRequest } from './job.ts';
import type { StaticReservation } from './reservation.ts';
import type { Resources } from './resources.ts';

/** What the node's operator lets tasks do beyond the ordinary. Everything is off unless it is turned on. */
export interface NodeConsent {
  readonly hostNetwork: boolean;
  /** Absolute paths; a bind mount must be one of them or lie below one. */
  readonly hostMounts: readonly string[];
  readonly privileged: boolean;
  /** Absolute paths of devices, exactly. */
  readonly devices: readonly string[];
  /** Names of capabilities, without the prefix CAP_. */
  readonly capabilities: readonly string[];
  /** Tasks without a container, as processes of the machine. */
  readonly processRuntime: boolean;
  /** Tasks that run further tasks of their framework in their own way. */
  readonly executors: boolean;
}

export const NO_CONSENT: NodeConsent = {
  hostNetwork: false,
  hostMounts: [],
  privileged: false,
  devices: [],
  capabilities: [],
  processRuntime: false,
  executors: false,
};

/** UUIDs as drivers write them have 40 to 50 characters. */
export const DEVICE_ID_LENGTH_MAX = 64;

/** In place of an engine's name: the node runs only what needs no container. */
export const NO_ENGINE = 'none';

/** A whole device that a task can be given. */
export interface GpuDevice {
  /** What tells it from all others, in this machine and any: its UUID. */
  readonly id: string;
  readonly product: string;
  readonly memoryMiB: number;
  /** Version of the driver. */
  readonly driver: string;
  /** The card that it is a part of, by UUID; null: it is a card. */
  readonly parent: string | null;
}

export interface Node {
  readonly id: NodeId;
  readonly hostname: string;
  /** Where the ports of its tasks are reached, an IP address or a name; null: its agent doesn't say, and its host name has to do. */
  readonly address: string | null;
  /** What tasks may hold: what was found, less what the operator keeps back. */
  readonly resources: Resources;
  /** Among them always `hostname`, `arch`, `os` and `node`. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly consent: NodeConsent;
  /** The devices behind `resources.gpus`, one for each; empty where the operator only states a number. */
  readonly gpus: readonly GpuDevice[];
  /** What its operator keeps for roles, each role once. */
  readonly reservations: readonly StaticReservation[];
  readonly agentVersion: string;
  /** Name and version of the container engine, such as `docker 20.10.24`; {@link NO_ENGINE}: it has none. */
  readonly engine: string;
  readonly registeredAtMs: number;
}

/**
 * The number of the node's current session. Every registration and every replacement of what a lost node held raises it;
 * whoever acts under an older one is refused.
 */
export interface Epoch {
  readonly epoch: number;
  /** Set by the node-health pass when the node's lease is gone; null while it is alive. */
  readonly unreachableSinceMs: number | null;
  /** When tasks of the node were given up last; absent: never. */
  readonly lastGiveUpMs?: number | undefined;
  /** Of the state that the session was begun under; absent: the first. A recovery raises it, and every session is over. */
  readonly incarnation?: number | undefined;
  /**
   * What the node's agent has seen of the node's ledger, where this state has never come so far: it was restored from an
   * older one. Until a recovery the node keeps what it runs and gets nothing.
   */
  readonly ahead?: { readonly incarnation: number; readonly generation: number } | undefined;
  /** What runs there from a history that this state doesn't know. Absent: nothing. */
  readonly keptAside?: readonly KeptAside[] | undefined;
  /** Tasks that the node has seen end in a history that this state doesn't know, where they haven't begun here. Absent: none. */
  readonly endedBefore?: readonly TaskId[] | undefined;
  /** The agent that holds the session; absent for one that carries no stamp. */
  readonly holder?: Holder | undefined;
  /** An operator has said that nothing runs there any more. What the node held goes; under its name another one may join. */
  readonly gone?: Gone | undefined;
  /** The stamp of the machine that was declared gone before the present one joined: what it still runs has been replaced. */
  readonly scrapped?: string | undefined;
  /** What its agent shows that it is this node's; absent for one that has not been here since that is noted. */
  readonly credential?: Credential | undefined;
  /** Somebody else came under this node's name lately and was refused. */
  readonly otherMachine?: OtherMachine | undefined;
}

/** All tokens of a node from its join on have one id; with the next join the ones before are good for nothing. */
export interface Credential {
  readonly id: string;
  /** The id of the join token; null where that isn't known. */
  readonly joinedWith: string | null;
  readonly atMs: number;
}

/** With a copy of the memory that the node's agent has, or with another one, or none. */
export interface OtherMachine {
  readonly atMs: number;
  readonly how: 'same-memory' | 'other-memory';
}

/** An agent, told by what it alone can know: the stamp of its last registration, and its process. */
export interface Holder {
  readonly stamp: string;
  readonly instance: string;
  /** Another process that has the same memory and waits to see whether this one still lives. */
  readonly contender?: string | undefined;
}

export interface Gone {
  readonly atMs: number;
  readonly by: string;
  /** The last one that was accepted of its agent; absent where that carried none. */
  readonly stamp?: string | undefined;
}

/** A task of which something runs on a node although the state places nothing of it there. */
export interface KeptAside {
  readonly task: TaskId;
  /** Its end has been asked for; null: it runs until somebody decides. */
  readonly stop: StopRequest | null;
}

/** Of a state that was never recovered, and of a session that was begun under one. */
export const FIRST_INCARNATION = 1;
