/** How jobs, tasks, nodes and events look to a person. */
import type {
  EventView,
  ExplanationView,
  JobSummary,
  JobVersionView,
  JobView,
  NodeView,
  StatusView,
  TaskCounts,
  TaskView,
} from '../../../shared/protocol/views.ts';
import { jobName } from '../arguments.ts';
import { gpuPairs, gpuTable } from './gpus.ts';
import { windowText } from './maintenance-shapes.ts';
import { type Paint, stateColour } from './paint.ts';
import type { ListShape } from './printer.ts';
import { renderServiceTasks, servicePairs } from './service-shapes.ts';
import { renderPairs, renderTable } from './table.ts';
import { ageText, bytesText, counted, durationText, mebibytesText, printable } from './text.ts';

export const jobShape: ListShape<JobSummary> = {
  noun: 'job',
  nameOf: jobName,
  columns: (nowMs) => [
    { header: 'NAME', value: (job) => job.name, shrinks: true },
    { header: 'ROLE', value: (job) => job.role, shrinks: true },
    { header: 'KIND', value: (job) => job.kind },
    { header: 'VERSION', value: (job) => String(job.version), align: 'right' },
    { header: 'STATE', value: (job) => job.state, colour: (job) => stateColour(job.state) },
    { header: 'TASKS', value: tasksText, shrinks: true },
    { header: 'CREATED', value: (job) => ageText(job.createdAt, nowMs) },
  ],
};

/** What counts of a service is how many work. */
function tasksText({ healthy, tasks }: JobSummary): string {
  if (healthy === null) return countsText(tasks);
  const old = healthy.outdated === 0 ? '' : `, ${healthy.outdated} outdated`;
  return `${healthy.healthy}/${healthy.wanted} healthy${old}`;
}

export const taskShape: ListShape<TaskView> = {
  noun: 'task',
  nameOf: (task) => task.id,
  columns: (nowMs) => [
    { header: 'ID', value: (task) => task.id, shrinks: true },
    { header: 'JOB', value: ownerText, shrinks: true },
    { header: 'STATE', value: taskStateText, colour: taskColour },
    { header: 'NODE', value: (task) => task.node ?? '-', shrinks: true },
    { header: 'EXIT', value: (task) => (task.exitCode === null ? '-' : String(task.exitCode)), align: 'right' },
    { header: 'AGE', value: (task) => ageText(task.createdAt, nowMs) },
    { header: 'LAST', value: (task) => task.message, shrinks: true },
  ],
};

export const nodeShape: ListShape<NodeView> = {
  noun: 'node',
  nameOf: (node) => node.id,
  columns: () => [
    { header: 'ID', value: (node) => node.id, shrinks: true },
    { header: 'HOST', value: (node) => node.hostname, shrinks: true },
    { header: 'STATE', value: (node) => node.state, colour: (node) => stateColour(node.state) },
    { header: 'CPUS', value: (node) => `${node.used.cpus}/${node.total.cpus}`, align: 'right' },
    {
      header: 'MEMORY',
      value: (node) => `${mebibytesText(node.used.memMiB)}/${mebibytesText(node.total.memMiB)}`,
      align: 'right',
    },
    { header: 'GPUS', value: (node) => `${node.used.gpus}/${node.total.gpus}`, align: 'right' },
    { header: 'OFFERED', value: ({ offered }) => offeredText(offered), align: 'right' },
    { header: 'TASKS', value: (node) => String(node.tasks), align: 'right' },
    { header: 'ENGINE', value: (node) => node.engine, shrinks: true },
  ],
};

/** `1.5 CPUs, 512MiB`: what offers hold. */
function offeredText({ cpus, memMiB, gpus }: NodeView['offered']): string {
  const parts = [
    ...(cpus > 0 ? [`${cpus} CPUs`] : []),
    ...(memMiB > 0 ? [mebibytesText(memMiB)] : []),
    ...(gpus > 0 ? [counted(gpus, 'GPU')] : []),
  ];
  return parts.length === 0 ? '-' : parts.join(', ');
}

export const versionShape: ListShape<JobVersionView & { readonly changes: string; readonly rollout: string }> = {
  noun: 'version',
  nameOf: (version) => String(version.version),
  columns: (nowMs) => [
    { header: 'VERSION', value: (version) => String(version.version), align: 'right' },
    { header: 'CREATED', value: (version) => ageText(version.createdAt, nowMs) },
    { header: 'BY', value: (version) => version.createdBy, shrinks: true },
    { header: 'HOW', value: (version) => version.change },
    { header: 'ROLLOUT', value: ({ rollout }) => rollout, colour: ({ rollout }) => stateColour(rollout) },
    { header: 'CHANGES', value: (version) => version.changes, shrinks: true },
  ],
};

export function eventLine(event: EventView, paint: Paint): string {
  const subject = event.task ?? event.job ?? event.node ?? event.framework ?? '';
  const where = event.task !== null && event.node !== null ? ` on ${event.node}` : '';
  const state = event.type.slice(event.type.indexOf('.') + 1);
  const time = event.at === null ? '-'.padEnd(24) : event.at;
  return `${paint('dim', time)}  ${paint(stateColour(state), event.type.padEnd(16))}  ${printable(subject)}${where}  ${printable(event.message)}`;
}

function taskStateText(task: TaskView): string {
  return task.unreachable ? `${task.state} (unreachable)` : task.state;
}

function taskColour(task: TaskView) {
  return stateColour(task.unreachable ? 'unreachable' : task.state);
}

/** `2 running, 1 failed`: only the states that occur. */
export function countsText(counts: TaskCounts): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.length === 0 ? '-' : parts.map(([state, count]) => `${count} ${state}`).join(', ');
}

export function renderJob(job: JobView, tasks: readonly TaskView[], options: RenderOptions): string {
  const { paint, nowMs } = options;
  const head = renderPairs(
    [
      ['Name', job.name],
      ['Role', job.role],
      ['Uid', job.uid],
      ['Kind', job.kind],
      ['Version', String(job.version)],
      ['State', `${paint(stateColour(job.state), job.state)}: ${printable(job.message)}`],
      ...job.waiting.slice(1).map(({ message }) => ['Waits', printable(message)] as const),
      ...servicePairs(job),
      ['Priority', String(job.priority)],
      ['Created', `${job.createdAt} (${ageText(job.createdAt, nowMs)}) by ${printable(job.createdBy)}`],
      ...(job.endedAt === null ? [] : [['Ended', `${job.endedAt} (${ageText(job.endedAt, nowMs)})`] as const]),
      ...(job.stop === null ? [] : [['Stop', stopText(job.stop)] as const]),
      ...job.spec.groups.map((group) => [`Group ${group.name}`, groupText(group)] as const),
    ],
    paint,
  );
  if (job.healthy !== null) return `${head}\n${renderServiceTasks(job, tasks, options)}`;
  return tasks.length === 0 ? head : `${head}\n${renderTable(taskShape.columns(nowMs), tasks, options)}`;
}

export interface RenderOptions {
  readonly paint: Paint;
  readonly nowMs: number;
  readonly width: number | null;
}

function groupText(group: JobView['spec']['groups'][number]): string {
  const { cpus, memMiB, gpus } = group.resources;
  const words = [...(group.command ?? []), ...(group.args ?? [])];
  const gpuText = gpus > 0 ? `, ${counted(gpus, 'GPU')}` : '';
  return printable(
    `${group.count} × ${group.runtime === 'process' ? 'process' : group.image}${words.length > 0 ? ` ${words.join(' ')}` : ''} (${cpus} CPUs, ${mebibytesText(memMiB)}${gpuText})`,
  );
}

function stopText(stop: { at: string; by: string; reason: string }): string {
  return printable(`${stop.at} by ${stop.by}: ${stop.reason}`);
}

/** A replica of a later version may know further causes. */
function displacedText({ because, role, task }: { because: string; role: string; task: string | null }): string {
  const causes: Readonly<Record<string, string>> = {
    guarantee: `because role ${role} is below its guarantee`,
    priority: `because that has a higher priority in role ${role}`,
  };
  return printable(
    `${task === null ? `for frameworks of role ${role}` : `by task ${task}`}, ${causes[because] ?? `because of ${because}`}`,
  );
}

/** A job's name as it is typed; of a framework, which isn't a job, that it is one. */
function ownerText({ role, job, framework }: TaskView): string {
  if (job !== null) return jobName({ role, name: job.name });
  return framework === null ? '-' : printable(`${framework.name} (framework)`);
}

function ownerPairs(task: TaskView): (readonly [string, string])[] {
  const { role, job, framework, group, index, attempt } = task;
  if (framework !== null) {
    return [
      ['Framework', printable(`${framework.name} (${framework.id})`)],
      ['Its task', printable(framework.task)],
      ['Role', role],
    ];
  }
  const name = job === null ? '-' : `${ownerText(task)} version ${job.version}`;
  return [
    ['Job', name],
    ['Group', `${group}[${index}], attempt ${attempt + 1}`],
  ];
}

export function renderTask(task: TaskView, { paint, width }: RenderOptions): string {
  const ports = Object.entries(task.ports).map(([name, port]) => `${name}=${port}`);
  const head = renderPairs(
    [
      ['Id', task.id],
      ...ownerPairs(task),
      ...(task.run === 0 ? [] : [['Run', `${task.run + 1}, started again in place`] as const]),
      ['State', `${paint(taskColour(task), taskStateText(task))}: ${printable(task.message)}`],
      ['Node', task.node === null ? '-' : `${task.node}${task.host === null ? '' : ` (${printable(task.host)})`}`],
      ...(ports.length === 0 ? [] : [['Ports', ports.join(' ')] as const]),
      ...gpuPairs(task),
      ...(task.exitCode === null ? [] : [['Exit code', String(task.exitCode)] as const]),
      ...(task.notBefore === null ? [] : [['Not before', task.notBefore] as const]),
      ...(task.stop === null ? [] : [['Stop', stopText(task.stop)] as const]),
      ...(task.stop?.displacedBy ? [['Displaced', displacedText(task.stop.displacedBy)] as const] : []),
    ],
    paint,
  );
  const why = task.explanation === null ? '' : `\n${explanationLines(task.explanation).join('\n')}\n`;
  return `${head}${why}\n${renderHistory(task, { paint, width })}`;
}

/** The table of what happened to the task, its further runs too, with the time that each step took. */
export function renderHistory(task: TaskView, options: { paint: Paint; width: number | null }): string {
  const restarts = task.restarts.map((restart) => ({ ...restart, state: 'running' as const }));
  const begun = task.history.findIndex((step) => step.state === 'running') + 1;
  const all = [...task.history.slice(0, begun), ...restarts, ...task.history.slice(begun)];
  const steps = all.map((step, at) => {
    const before = all[at - 1];
    return { ...step, tookMs: before === undefined ? null : Date.parse(step.at) - Date.parse(before.at) };
  });
  return renderTable(
    [
      { header: 'STATE', value: (step) => step.state, colour: (step) => stateColour(step.state) },
      { header: 'AT', value: (step) => step.at },
      {
        header: 'AFTER',
        value: (step) => (step.tookMs === null ? '-' : `+${durationText(step.tookMs)}`),
        align: 'right',
      },
      { header: 'WHY', value: (step) => step.message, shrinks: true },
    ],
    steps,
    options,
  );
}

/** Why a task has no place: the summary, which names the closest node, and where there are several reasons, each of them. */
export function explanationLines({ summary, refusals }: ExplanationView): string[] {
  const reasons = refusals.length > 1 ? refusals.map((refusal) => `  - ${printable(refusal.message)}`) : [];
  return [printable(summary), ...reasons];
}

export function renderNode(node: NodeView, tasks: readonly TaskView[], options: RenderOptions): string {
  const { paint, nowMs } = options;
  const amounts = (['cpus', 'memMiB', 'diskMiB', 'gpus'] as const).map((name) => ({
    name: name as string,
    total: node.total[name],
    used: node.used[name],
    offered: node.offered[name],
    reserved: node.reserved[name],
    free: node.free[name],
  }));
  const custom = Object.keys(node.total.custom).map((name) => ({
    name,
    total: node.total.custom[name] ?? 0,
    used: node.used.custom[name] ?? 0,
    offered: node.offered.custom[name] ?? 0,
    reserved: node.reserved.custom[name] ?? 0,
    free: node.free.custom[name] ?? 0,
  }));
  const ports = node.total.ports.map(({ first, last }) => `${first}-${last}`).join(', ');
  const head = renderPairs(
    [
      ['Id', node.id],
      ['Host', printable(node.hostname)],
      ['Address', node.address === null ? 'by its host name' : printable(node.address)],
      [
        'State',
        `${paint(stateColour(node.state), node.state)}${node.unreachableSince === null ? '' : ` since ${node.unreachableSince}`}`,
      ],
      [
        'Drain',
        node.drain === null
          ? '-'
          : `since ${node.drain.startedAt} by ${printable(node.drain.by)}, until ${node.drain.deadline ?? 'its tasks end'}`,
      ],
      ['Maintenance', maintenanceText(node.maintenance)],
      ['Engine', printable(node.engine)],
      ['Agent', printable(node.agentVersion)],
      ['Registered', ageText(node.registeredAt, nowMs)],
      [
        'Attributes',
        printable(
          Object.entries(node.attributes)
            .map(([name, value]) => `${name}=${value}`)
            .join(' '),
        ),
      ],
      ['Allows', consentText(node.consent)],
      ['Ports', ports === '' ? '-' : ports],
    ],
    paint,
  );
  const resources = renderTable(
    [
      { header: 'RESOURCE', value: (row) => row.name },
      { header: 'TOTAL', value: (row) => String(row.total), align: 'right' },
      { header: 'USED', value: (row) => String(row.used), align: 'right' },
      { header: 'OFFERED', value: (row) => String(row.offered), align: 'right' },
      { header: 'RESERVED', value: (row) => String(row.reserved), align: 'right' },
      { header: 'FREE', value: (row) => String(row.free), align: 'right' },
    ],
    [...amounts, ...custom],
    options,
  );
  const running = tasks.length === 0 ? '' : `\n${renderTable(taskShape.columns(nowMs), tasks, options)}`;
  return `${head}\n${resources}${gpuTable(node, options)}${running}${keptAsideText(node, options)}`;
}

const AHEAD_LINES = [
  'Its agent has seen a later state than this one: it keeps what it runs, and gets nothing.',
  'If etcd was restored from an older snapshot: berth cluster recover',
  'If not, its state folder comes from another cluster: start the agent with an empty one, once nothing runs there.',
];

function keptAsideText(node: NodeView, options: RenderOptions): string {
  const { paint } = options;
  const ahead = node.ahead === null ? '' : `\n${paint('red', AHEAD_LINES.join('\n'))}\n`;
  if (node.keptAside.length === 0) return ahead;
  const table = renderTable(
    [
      { header: 'KEPT ASIDE', value: (one) => one.task, shrinks: true },
      { header: 'END', value: ({ stop }) => (stop === null ? '-' : `asked for ${stopText(stop)}`), shrinks: true },
    ],
    node.keptAside,
    options,
  );
  const remedy =
    node.ahead === null
      ? `These run here from a part of history that is lost. To end them: berth node stop-kept-aside ${node.id} --all\n`
      : '';
  return `${ahead}\n${table}${remedy}`;
}

function maintenanceText(window: NodeView['maintenance']): string {
  return window === null ? '-' : `${windowText(window)}, set by ${printable(window.setBy)}`;
}

function consentText(consent: NodeView['consent']): string {
  const parts = [
    ...(consent.hostNetwork ? ['host network'] : []),
    ...(consent.privileged ? ['privileged'] : []),
    ...(consent.executors ? ['executors'] : []),
    ...consent.hostMounts.map((path) => `mounts of ${path}`),
    ...consent.devices.map((path) => `device ${path}`),
    ...consent.capabilities.map((name) => `CAP_${name}`),
    ...(consent.processRuntime ? ['processes outside of containers'] : []),
  ];
  return parts.length === 0 ? 'nothing beyond the ordinary' : printable(parts.join(', '));
}

function databaseText({ sizeBytes, inUseBytes, quotaBytes, isTight }: StatusView['database'], paint: Paint): string {
  const text = `${bytesText(inUseBytes)} in use, file of ${bytesText(sizeBytes)}, quota ${bytesText(quotaBytes)}`;
  return isTight ? paint('red', `${text}: no new jobs are taken`) : text;
}

function secretsText({ total, envelopeKey, elsewhere, unopenable }: StatusView['secrets'], paint: Paint): string {
  if (unopenable > 0)
    return `${total}: ${paint('red', `${unopenable} under envelope keys that this replica does not have`)}`;
  return elsewhere === 0
    ? String(total)
    : `${total}: ${elsewhere} not under ${envelopeKey} yet; see \`berth secret reseal\``;
}

function aheadText(nodes: number): string {
  const have = nodes === 1 ? 'has' : 'have';
  return `${counted(nodes, 'node')} ${have} seen a later state than this one; was etcd restored? See \`berth cluster recover --help\``;
}

function keepingText(nodes: number): string {
  return `${counted(nodes, 'node')} still run${nodes === 1 ? 's' : ''} what a restored state knows nothing of; see \`berth node show\``;
}

export function renderStatus(status: StatusView, address: string, { paint, nowMs }: RenderOptions): string {
  const { nodes, jobs, tasks, resources } = status;
  const nodeParts = [`${nodes.ready} ready`];
  if (nodes.draining > 0) nodeParts.push(`${nodes.draining} draining`);
  if (nodes.maintenance > 0) nodeParts.push(`${nodes.maintenance} in maintenance`);
  if (nodes.ineligible > 0) nodeParts.push(`${nodes.ineligible} ineligible`);
  if (nodes.unreachable > 0) nodeParts.push(paint('red', `${nodes.unreachable} unreachable`));
  if (nodes.ahead > 0) nodeParts.push(paint('red', `${nodes.ahead} ahead of this state`));
  return renderPairs(
    [
      ['Address', address],
      ['Cluster', `${status.cluster} (incarnation ${status.incarnation}, revision ${status.revision})`],
      ['Version', status.version],
      ...status.replicas.map((replica) => {
        const marks = [
          replica.id === status.replica ? 'answered this' : '',
          replica.id === status.driver ? 'drives' : '',
        ];
        const roles = marks.filter((mark) => mark !== '').join(', ');
        return [
          'Replica',
          `${replica.id} ${replica.url}, up ${ageText(replica.startedAt, nowMs).replace(' ago', '')}${roles === '' ? '' : ` (${roles})`}`,
        ] as const;
      }),
      ['Nodes', `${nodes.total}: ${nodeParts.join(', ')}`],
      ...(nodes.ahead === 0 ? [] : [['Ahead', paint('red', aheadText(nodes.ahead))] as const]),
      ...(nodes.keepingAside === 0 ? [] : [['Kept aside', keepingText(nodes.keepingAside)] as const]),
      ...(status.recoveredAt === null ? [] : [['Recovered', ageText(status.recoveredAt, nowMs)] as const]),
      ['Jobs', `${jobs.live} live of ${jobs.total}`],
      ['Tasks', countsText(tasks)],
      ['CPUs', `${resources.used.cpus} of ${resources.total.cpus} held`],
      ['Memory', `${mebibytesText(resources.used.memMiB)} of ${mebibytesText(resources.total.memMiB)} held`],
      ['GPUs', `${resources.used.gpus} of ${resources.total.gpus} held`],
      ['Rounds', String(status.round)],
      ...(status.secrets.total === 0 ? [] : [['Secrets', secretsText(status.secrets, paint)] as const]),
      ['Database', databaseText(status.database, paint)],
    ],
    paint,
  );
}
