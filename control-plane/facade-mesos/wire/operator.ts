/** `master::Response` and what it is made of, in the field names of v1. What is unset or empty is left out, as Mesos does. */
import type { WireAttribute, WireDomain, WireTaskState, WireTime, WireUrl } from './event.ts';
import type { WrittenResource } from './resource.ts';
import type { WireId, WireLabel } from './values.ts';

export interface OperatorTaskStatus {
  readonly task_id: WireId;
  readonly state: WireTaskState;
  readonly agent_id?: WireId;
  readonly executor_id?: WireId;
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly container_status?: object;
}

export interface OperatorTask {
  readonly name: string;
  readonly task_id: WireId;
  readonly framework_id: WireId;
  readonly executor_id?: WireId;
  readonly agent_id: WireId;
  readonly state: WireTaskState;
  readonly resources: readonly WrittenResource[];
  readonly statuses: readonly OperatorTaskStatus[];
  readonly labels?: { readonly labels: readonly WireLabel[] };
  readonly discovery?: object;
  readonly container?: object;
  readonly health_check?: object;
  readonly user?: string;
}

export interface OperatorExecutor {
  readonly executor_info: {
    readonly type?: 'DEFAULT' | 'CUSTOM';
    readonly executor_id: WireId;
    readonly framework_id: WireId;
    readonly name: string;
    readonly command: { readonly shell: boolean; readonly value?: string; readonly arguments?: readonly string[] };
    readonly resources: readonly WrittenResource[];
  };
  readonly agent_id: WireId;
}

export interface OperatorFrameworkInfo {
  readonly user: string;
  readonly name: string;
  readonly id: WireId;
  readonly failover_timeout: number;
  readonly checkpoint: boolean;
  readonly role?: string;
  readonly roles?: readonly string[];
  readonly hostname: string;
  readonly principal: string;
  readonly webui_url?: string;
  readonly capabilities?: readonly { readonly type: string }[];
  readonly labels?: { readonly labels: readonly WireLabel[] };
}

export interface OperatorOffer {
  readonly id: WireId;
  readonly framework_id: WireId;
  readonly agent_id: WireId;
  readonly hostname: string;
  readonly url: WireUrl;
  readonly allocation_info: { readonly role: string };
  readonly resources: readonly WrittenResource[];
}

export interface OperatorFramework {
  readonly framework_info: OperatorFrameworkInfo;
  readonly active: boolean;
  readonly connected: boolean;
  readonly recovered: false;
  readonly registered_time: WireTime;
  readonly reregistered_time?: WireTime;
  readonly unregistered_time?: WireTime;
  readonly offers?: readonly OperatorOffer[];
  readonly allocated_resources?: readonly WrittenResource[];
  readonly offered_resources?: readonly WrittenResource[];
}

export interface OperatorAgent {
  readonly agent_info: {
    readonly hostname: string;
    readonly port: number;
    readonly resources: readonly WrittenResource[];
    readonly attributes?: readonly WireAttribute[];
    readonly id: WireId;
    readonly domain?: WireDomain;
  };
  readonly active: boolean;
  readonly deactivated: boolean;
  readonly version: string;
  readonly pid: string;
  readonly registered_time: WireTime;
  readonly total_resources: readonly WrittenResource[];
  readonly allocated_resources?: readonly WrittenResource[];
  readonly offered_resources?: readonly WrittenResource[];
  readonly drain_info?: { readonly state: 'DRAINING' | 'DRAINED' };
  readonly estimated_drain_start_time?: WireTime;
  readonly capabilities: readonly { readonly type: string }[];
}

export interface OperatorRole {
  readonly name: string;
  readonly weight: number;
  readonly frameworks?: readonly WireId[];
  readonly resources?: readonly WrittenResource[];
}

export type OperatorEvent =
  | { readonly type: 'TASK_ADDED'; readonly task_added: { readonly task: OperatorTask } }
  | {
      readonly type: 'TASK_UPDATED';
      readonly task_updated: {
        readonly framework_id: WireId;
        readonly status: OperatorTaskStatus;
        readonly state: WireTaskState;
      };
    }
  | { readonly type: 'FRAMEWORK_ADDED'; readonly framework_added: { readonly framework: OperatorFramework } }
  | { readonly type: 'FRAMEWORK_UPDATED'; readonly framework_updated: { readonly framework: OperatorFramework } }
  | {
      readonly type: 'FRAMEWORK_REMOVED';
      readonly framework_removed: { readonly framework_info: OperatorFrameworkInfo };
    }
  | { readonly type: 'AGENT_ADDED'; readonly agent_added: { readonly agent: OperatorAgent } }
  | { readonly type: 'AGENT_REMOVED'; readonly agent_removed: { readonly agent_id: WireId } };
