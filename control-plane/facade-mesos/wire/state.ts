/** What `/master/state` and its like show. Names and types are those that Mesos's master writes; readers lean on both. */
import type { WireTaskState } from './event.ts';
import type { WireLabel } from './values.ts';

/** The four that everything has as numbers, custom ones too, and `ports` as a text such as `[31000-31000, 31002-31005]`. */
export type ResourceSummary = Readonly<Record<string, number | string>>;

export interface StateStatus {
  readonly state: WireTaskState;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly healthy?: boolean;
  readonly container_status?: {
    readonly container_id: { readonly value: string };
    readonly network_infos: readonly {
      readonly ip_addresses: readonly { readonly protocol: 'IPv4'; readonly ip_address: string }[];
    }[];
  };
}

export interface StateTask {
  readonly id: string;
  readonly name: string;
  readonly framework_id: string;
  /** Empty for a task that has no executor but itself. */
  readonly executor_id: string;
  readonly slave_id: string;
  readonly state: WireTaskState;
  readonly resources: ResourceSummary;
  readonly role: string;
  readonly user?: string;
  readonly statuses: readonly StateStatus[];
  readonly labels?: readonly WireLabel[];
  readonly discovery?: object;
  readonly container?: object;
  readonly health_check?: object;
}

export interface StateOffer {
  readonly id: string;
  readonly framework_id: string;
  readonly allocation_info: { readonly role: string };
  readonly slave_id: string;
  readonly resources: ResourceSummary;
}

export interface StateExecutor {
  readonly executor_id: string;
  readonly name: string;
  readonly framework_id: string;
  readonly command: { readonly argv: readonly string[]; readonly uris: readonly string[]; readonly value?: string };
  readonly resources: ResourceSummary;
  readonly role: string;
  readonly slave_id: string;
}

export interface StateSlave {
  readonly id: string;
  readonly hostname: string;
  readonly port: number;
  readonly attributes: Readonly<Record<string, string>>;
  /** `slave(1)@address:port`. */
  readonly pid: string;
  readonly registered_time: number;
  readonly resources: ResourceSummary;
  readonly used_resources: ResourceSummary;
  readonly offered_resources: ResourceSummary;
  readonly reserved_resources: Readonly<Record<string, ResourceSummary>>;
  readonly unreserved_resources: ResourceSummary;
  readonly active: boolean;
  readonly deactivated: boolean;
  readonly drain_info?: { readonly state: 'DRAINING' | 'DRAINED' };
  readonly version: string;
  readonly capabilities: readonly string[];
}

/** All of a framework but its tasks, offers and executors. */
export interface StateFramework {
  readonly id: string;
  readonly name: string;
  readonly used_resources: ResourceSummary;
  readonly offered_resources: ResourceSummary;
  readonly capabilities: readonly string[];
  readonly hostname: string;
  readonly webui_url: string;
  readonly active: boolean;
  readonly connected: boolean;
  readonly recovered: false;
}
