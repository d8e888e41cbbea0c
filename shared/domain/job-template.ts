/**
 * What the tasks of a group are made from, as far as a change of it makes those that run outdated. Whatever only says how many
 * there are, how they are exchanged or replaced, or whose turn it is, isn't part of it: a change of that starts nothing anew.
 */
import type { TemplateVersions } from './deployment.ts';
import type { GroupSpec, JobSpec } from './job.ts';
import { specChanges } from './spec-changes.ts';

/** Names of the groups of `after` that are new there, or whose tasks would be made otherwise than those of `before`. */
export function changedTemplates(before: JobSpec, after: JobSpec): string[] {
  const isAllNew = specChanges(sharedTemplate(before), sharedTemplate(after)).length > 0;
  const groups = new Map(before.groups.map((group) => [group.name, group]));
  return after.groups.filter((group) => isAllNew || differs(groups.get(group.name), group)).map(({ name }) => name);
}

/**
 * The numbers of the versions that the tasks of each group carry once `version` is the wanted one. Null: there was nothing
 * before. With `restart` every task is to be made anew though nothing has changed.
 */
export function nextTemplates(
  previous: { readonly spec: JobSpec; readonly templates: TemplateVersions } | null,
  spec: JobSpec,
  version: number,
  { restart = false }: { readonly restart?: boolean } = {},
): TemplateVersions {
  const changed = new Set(previous === null ? [] : changedTemplates(previous.spec, spec));
  const kept = previous === null || restart ? {} : previous.templates;
  const numberOf = (name: string) => (changed.has(name) || !Object.hasOwn(kept, name) ? version : kept[name]);
  return Object.fromEntries(spec.groups.map(({ name }) => [name, numberOf(name) ?? version]));
}

/**
 * The same where `good` is taken back to, by version `number`. Tasks of it that still run are present ones again. Where none does, those
 * that are present stay so if they would be made from the same. Otherwise a new number costs nothing, and no id of a task is used
 * twice, however much of that version has been forgotten.
 */
export function revertedTemplates(
  good: { readonly spec: JobSpec; readonly templates: TemplateVersions },
  {
    number: version,
    present,
    live,
  }: {
    readonly number: number;
    readonly present: { readonly spec: JobSpec; readonly templates: TemplateVersions };
    readonly live: Iterable<{ readonly group: string; readonly jobVersion: number }>;
  },
): TemplateVersions {
  const running = new Set([...live].map(({ group, jobVersion }) => `${group} ${jobVersion}`));
  const changed = new Set(changedTemplates(present.spec, good.spec));
  const numberOf = (name: string) => {
    const number = numberIn(good.templates, name);
    if (number !== undefined && running.has(`${name} ${number}`)) return number;
    return (changed.has(name) ? undefined : numberIn(present.templates, name)) ?? version;
  };
  return Object.fromEntries(good.spec.groups.map(({ name }) => [name, numberOf(name)]));
}

function numberIn(templates: TemplateVersions, name: string): number | undefined {
  return Object.hasOwn(templates, name) ? templates[name] : undefined;
}

function differs(before: GroupSpec | undefined, after: GroupSpec): boolean {
  return before === undefined || specChanges(ownTemplate(before), ownTemplate(after)).length > 0;
}

/** The part of every group's template that the job says. */
function sharedTemplate(spec: JobSpec) {
  const {
    name: _name,
    role: _role,
    priority: _priority,
    labels: _labels,
    replaceAfterSeconds: _replaceAfterSeconds,
    update: _update,
    dependsOn: _dependsOn,
    killSelection: _killSelection,
    groups: _groups,
    ...shared
  } = spec;
  return shared;
}

function ownTemplate(group: GroupSpec) {
  const { count: _count, backoff: _backoff, ...own } = group;
  return own;
}
