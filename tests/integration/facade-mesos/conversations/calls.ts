/** Conversations for each call but those about maintenance and operations. */
import { type Conversation, refused } from './conversation.ts';
import {
  AGENT,
  accepting,
  ID,
  OFFER,
  offered,
  offers,
  RUNNING,
  running,
  SUBSCRIBED,
  subscription,
  subscriptionAgain,
  TASK,
  TASK_OF_TEXTS,
  TASK_WITH_NULLS,
  update,
  WALL,
  withNulls,
} from './messages.ts';

const decline = (...ids: object[]) => ({ framework_id: ID, type: 'DECLINE', decline: { offer_ids: ids } });
const teardown = { framework_id: ID, type: 'TEARDOWN' };
const reconciled = { source: 'SOURCE_MASTER', reason: 'REASON_RECONCILIATION', uuid: null } as const;
const standing = update({ ...reconciled, state: 'TASK_RUNNING', message: 'running' });
const unknown = (task: string, state = 'TASK_LOST') =>
  update({
    ...{ ...reconciled, task, state, message: 'the framework has no task of this name on record' },
    isTask: false,
  });
const killed = update({ state: 'TASK_KILLED', source: 'SOURCE_EXECUTOR', message: 'killed', uuid: 'uuid2' });

const SUBSCRIBING: readonly Conversation[] = [
  ...(['mesos-framework', 'pymesos', 'mesos-go', 'mesos-compose', 'mesoshttp'] as const).map((client) => ({
    about: 'SUBSCRIBE, TEARDOWN',
    client,
    turns: [
      { subscribes: subscription(client) },
      { hears: [SUBSCRIBED] },
      { calls: client === 'mesos-framework' ? teardown : { ...teardown, framework_id: ID } },
      { ends: 'present' as const },
    ],
  })),
  ...(['mesos-framework', 'pymesos', 'mesos-go'] as const).map((client) => ({
    about: 'SUBSCRIBE of a framework that is back',
    client,
    turns: [
      { subscribes: subscription(client) },
      { hears: [SUBSCRIBED] },
      { subscribes: subscriptionAgain(client) },
      { hears: [SUBSCRIBED] },
      { hearsBefore: ['{"type":"ERROR","error":{"message":"Framework failed over"}}'] },
      { ends: 'before' as const },
      { calls: { framework_id: ID, type: 'REVIVE' } },
    ],
  })),
];

const LAUNCHING: readonly Conversation[] = [
  {
    about: 'ACCEPT with every field that is unset',
    client: 'mesos-framework',
    turns: [
      ...offered('mesos-framework'),
      {
        calls: withNulls({
          framework_id: ID,
          type: 'ACCEPT',
          accept: {
            offer_ids: [OFFER],
            operations: [
              {
                ...{ type: 'LAUNCH', launch: { task_infos: [TASK_WITH_NULLS] } },
                ...{ reserve: null, unreserve: null, create: null, destroy: null },
              },
            ],
            filters: null,
          },
        }),
      },
      { meanwhile: 'the task runs' },
      { hears: [RUNNING] },
    ],
  },
  {
    about: 'ACCEPT with filters',
    client: 'pymesos',
    turns: [
      ...offered('pymesos'),
      {
        calls: {
          type: 'ACCEPT',
          framework_id: ID,
          accept: {
            offer_ids: [OFFER],
            operations: [{ type: 'LAUNCH', launch: { task_infos: [TASK] } }],
            filters: { refuse_seconds: 120.5 },
          },
        },
      },
      { meanwhile: 'the task runs' },
      { hears: [RUNNING] },
    ],
  },
  {
    about: 'ACCEPT of nothing, which is a DECLINE',
    client: 'mesos-go',
    turns: [
      ...offered('mesos-go'),
      {
        calls: {
          type: 'ACCEPT',
          framework_id: ID,
          accept: {
            offer_ids: [OFFER],
            operations: [{ type: 'LAUNCH', launch: { task_infos: [] } }],
            filters: { refuse_seconds: 3600 },
          },
        },
      },
      { calls: { type: 'REVIVE', framework_id: ID } },
      { meanwhile: 'offers are made' },
      { hears: [offers('offer2')] },
    ],
  },
  {
    about: 'ACCEPT with numbers as texts, and DECLINE of the same offer, twice',
    client: 'mesos-compose',
    turns: [
      ...offered('mesos-compose'),
      { calls: accepting(TASK_OF_TEXTS) },
      { calls: { ...decline(OFFER), decline: { offer_ids: [OFFER], filters: { refuse_seconds: 5 } } } },
      { calls: decline(OFFER, OFFER) },
      { meanwhile: 'the task runs' },
      { hears: [RUNNING] },
    ],
  },
  {
    about: 'ACCEPT with one operation in the place of a list, and what nobody knows',
    client: 'mesoshttp',
    turns: [
      ...offered('mesoshttp'),
      {
        calls: {
          framework_id: ID,
          type: 'ACCEPT',
          accept: {
            offer_ids: [OFFER],
            operations: { type: 'LAUNCH', launch: { task_infos: [{ ...TASK, slave_id: AGENT }] } },
          },
        },
      },
      { meanwhile: 'the task runs' },
      { hears: [RUNNING] },
    ],
  },
  {
    about: 'ACCEPT of an offer that is used up',
    client: 'pymesos',
    turns: [
      ...running('pymesos'),
      { calls: accepting({ ...TASK, task_id: { value: 'door' } }) },
      {
        hears: [
          update({
            ...{ task: 'door', state: 'TASK_LOST', source: 'SOURCE_MASTER', reason: 'REASON_INVALID_OFFERS' },
            message: 'Task launched with invalid offers: Offer <offer> is no longer valid',
            ...{ uuid: null, isTask: false },
          }),
        ],
      },
    ],
  },
];

const OFFERED: readonly Conversation[] = [
  {
    about: 'DECLINE',
    client: 'mesos-framework',
    turns: [
      ...offered('mesos-framework'),
      {
        calls: withNulls({ framework_id: ID, type: 'DECLINE', decline: { offer_ids: [OFFER], filters: null } }),
      },
      { calls: { framework_id: ID, type: 'REVIVE' } },
      { meanwhile: 'offers are made' },
      { hears: [offers('offer2')] },
    ],
  },
  {
    about: 'SUPPRESS and REVIVE',
    client: 'pymesos',
    turns: [
      { subscribes: subscription('pymesos') },
      { hears: [SUBSCRIBED] },
      { calls: { type: 'SUPPRESS', framework_id: ID, suppress: { roles: ['*'] } } },
      { meanwhile: 'offers are made' },
      { calls: { type: 'REVIVE', framework_id: ID, revive: { roles: ['*'] } } },
      { meanwhile: 'offers are made' },
      { hears: [offers()] },
    ],
  },
  {
    about: 'SUPPRESS and REVIVE that say nothing of roles',
    client: 'mesos-go',
    turns: [
      { subscribes: subscription('mesos-go') },
      { hears: [SUBSCRIBED] },
      { calls: { type: 'SUPPRESS', framework_id: ID } },
      { calls: { type: 'REVIVE', framework_id: ID } },
      { meanwhile: 'offers are made' },
      { hears: [offers()] },
    ],
  },
  {
    about: 'REQUEST, and what is sent in its place',
    client: 'mesos-framework',
    turns: [
      { subscribes: subscription('mesos-framework') },
      { hears: [SUBSCRIBED] },
      {
        calls: { framework_id: ID, type: 'REQUEST', requests: [{}] },
        answer: refused("Failed to validate scheduler::Call: Expecting 'request' to be present"),
      },
      { calls: { framework_id: ID, type: 'REQUEST', request: { requests: [{ agent_id: AGENT, resources: [] }] } } },
    ],
  },
  {
    about: 'UPDATE_FRAMEWORK',
    client: 'mesos-go',
    turns: [
      { subscribes: subscription('mesos-go') },
      { hears: [SUBSCRIBED] },
      {
        calls: {
          type: 'UPDATE_FRAMEWORK',
          framework_id: ID,
          update_framework: {
            framework_info: {
              ...{ user: 'root', name: 'painter', id: ID, failover_timeout: 90, checkpoint: true, role: '*' },
              principal: 'painter',
            },
          },
        },
        answer: { status: 'HTTP/1.1 200 OK', text: '' },
      },
      { calls: { framework_id: ID, type: 'REVIVE' } },
    ],
  },
];

const TASKS: readonly Conversation[] = [
  {
    about: 'ACKNOWLEDGE and KILL',
    client: 'mesos-framework',
    turns: [
      ...running('mesos-framework'),
      {
        calls: {
          framework_id: ID,
          type: 'ACKNOWLEDGE',
          acknowledge: { agent_id: AGENT, task_id: WALL, uuid: '<uuid>' },
        },
      },
      {
        calls: {
          framework_id: ID,
          type: 'ACKNOWLEDGE',
          acknowledge: { agent_id: AGENT, task_id: WALL, uuid: '<uuid>' },
        },
      },
      { calls: { framework_id: ID, type: 'KILL', kill: { task_id: WALL, agent_id: AGENT } } },
      { meanwhile: 'the task was killed' },
      { hears: [killed] },
    ],
  },
  {
    about: 'KILL with an id of an agent that holds none, and of a task that nobody knows',
    client: 'mesos-framework',
    turns: [
      { subscribes: subscription('mesos-framework') },
      { hears: [SUBSCRIBED] },
      { calls: { framework_id: ID, type: 'KILL', kill: { task_id: WALL, agent_id: AGENT } } },
      { hears: [unknown('wall')] },
      { calls: { framework_id: ID, type: 'KILL', kill: { task_id: WALL, agent_id: {} } } },
    ],
  },
  {
    about: 'KILL without an agent',
    client: 'pymesos',
    turns: [
      ...running('pymesos'),
      {
        calls: {
          type: 'ACKNOWLEDGE',
          framework_id: ID,
          acknowledge: { agent_id: AGENT, task_id: WALL, uuid: '<uuid>' },
        },
      },
      { calls: { type: 'KILL', framework_id: ID, kill: { task_id: WALL } } },
      { meanwhile: 'the task was killed' },
      { hears: [killed] },
    ],
  },
  {
    about: 'KILL with an empty id of an agent',
    client: 'mesos-compose',
    turns: [
      ...running('mesos-compose'),
      {
        calls: {
          framework_id: ID,
          type: 'ACKNOWLEDGE',
          acknowledge: { agent_id: AGENT, task_id: WALL, uuid: '<uuid>' },
        },
      },
      { calls: { framework_id: ID, type: 'KILL', kill: { task_id: WALL, agent_id: { value: '' } } } },
      { meanwhile: 'the task was killed' },
      { hears: [killed] },
    ],
  },
  {
    about: 'SHUTDOWN',
    client: 'mesos-go',
    turns: [
      ...running('mesos-go'),
      {
        calls: {
          type: 'ACKNOWLEDGE',
          framework_id: ID,
          acknowledge: { agent_id: AGENT, task_id: WALL, uuid: '<uuid>' },
        },
      },
      { calls: { type: 'SHUTDOWN', framework_id: ID, shutdown: { executor_id: WALL, agent_id: AGENT } } },
      { meanwhile: 'the task was killed' },
      { hears: [killed] },
    ],
  },
  {
    about: 'what is sent in the place of SHUTDOWN',
    client: 'mesos-framework',
    turns: [
      { subscribes: subscription('mesos-framework') },
      { hears: [SUBSCRIBED] },
      {
        calls: { framework_id: ID, type: 'SHUTDOWN', kill: { executor_id: WALL, agent_id: AGENT } },
        answer: refused('Failed to convert JSON into Call protobuf: Missing required fields: kill.task_id'),
      },
    ],
  },
  {
    about: 'RECONCILE of one task, of one that nobody knows, and of all',
    client: 'mesos-framework',
    turns: [
      ...running('mesos-framework'),
      { calls: { framework_id: ID, type: 'RECONCILE', reconcile: { tasks: [{ task_id: WALL, agent_id: AGENT }] } } },
      { hears: [standing] },
      {
        calls: {
          ...{ framework_id: ID, type: 'RECONCILE' },
          reconcile: { tasks: [{ task_id: { value: 'door' }, agent_id: AGENT }] },
        },
      },
      { hears: [unknown('door')] },
      { calls: { framework_id: ID, type: 'RECONCILE', reconcile: { tasks: [] } } },
      { hears: [standing] },
    ],
  },
  {
    about: 'RECONCILE without an agent',
    client: 'pymesos',
    turns: [
      ...running('pymesos'),
      { calls: { type: 'RECONCILE', framework_id: ID, reconcile: { tasks: [{ task_id: WALL }] } } },
      { hears: [standing] },
    ],
  },
  {
    about: 'RECONCILE of all, with no list at all',
    client: 'mesos-go',
    turns: [
      ...running('mesos-go'),
      { calls: { type: 'RECONCILE', framework_id: ID, reconcile: {} } },
      { hears: [standing] },
    ],
  },
  {
    about: 'RECONCILE of what nobody knows, to whom partitions are known',
    client: 'mesos-compose',
    turns: [
      { subscribes: subscription('mesos-compose') },
      { hears: [SUBSCRIBED] },
      { calls: { framework_id: ID, type: 'RECONCILE', reconcile: { tasks: [{ task_id: WALL, agent_id: AGENT }] } } },
      { hears: [unknown('wall', 'TASK_UNKNOWN')] },
    ],
  },
  ...(['mesos-framework', 'pymesos'] as const).map((client) => ({
    about: 'MESSAGE',
    client,
    turns: [
      ...running(client),
      {
        calls: {
          ...{ framework_id: ID, type: 'MESSAGE' },
          message: { agent_id: AGENT, executor_id: WALL, data: 'YWJj' },
        },
      },
    ],
  })),
];

export const CALLS: readonly Conversation[] = [...SUBSCRIBING, ...LAUNCHING, ...OFFERED, ...TASKS];
