/**
 * Which folder may import which: the table in the design, as data. A folder that isn't here is on no floor and may not hold
 * source files, so a new one is a decision that shows up in a diff of this file.
 */
import type { Finding } from './finding.ts';
import type { SourceFile } from './source.ts';

type Floor = {
  /** How a message calls it. */
  readonly name: string;
  readonly holds: RegExp;
  /** Names of the floors that it may import, besides itself. */
  readonly mayImport: readonly string[];
};

const shared = ['shared/util', 'shared/domain', 'shared/protocol', 'shared/client'];
const floorThree = ['control-plane/scheduler', 'control-plane/reconcile', 'control-plane/store'];
const useCases = ['control-plane/services', 'control-plane/auth'];
const doors = [
  'control-plane/api',
  'control-plane/facade-mesos',
  'control-plane/facade-marathon',
  'control-plane/dashboard',
];
const app = [...shared, ...floorThree, ...useCases, 'control-plane/controllers', ...doors];
const mains = ['control-plane main', 'node-agent main'];

function folder(name: string, mayImport: readonly string[]): Floor {
  return { name, holds: new RegExp(`^${name}/`), mayImport };
}

const floors: readonly Floor[] = [
  folder('shared/util', []),
  folder('shared/domain', ['shared/util']),
  folder('shared/protocol', ['shared/util', 'shared/domain']),
  // The client speaks the wire schemas, so it stands on them.
  folder('shared/client', ['shared/util', 'shared/domain', 'shared/protocol']),
  ...floorThree.map((name) => folder(name, shared)),
  folder('control-plane/adapters', [...shared, ...floorThree]),
  folder('control-plane/auth', [...shared, ...floorThree]),
  folder('control-plane/services', [...shared, ...floorThree, 'control-plane/auth']),
  folder('control-plane/controllers', [...shared, ...floorThree, 'control-plane/auth']),
  ...doors.map((name) => folder(name, [...shared, ...useCases])),
  { name: 'control-plane/app.ts', holds: /^control-plane\/app\.ts$/, mayImport: app },
  {
    name: 'control-plane main',
    holds: /^control-plane\/main-[a-z-]+\.ts$/,
    mayImport: [...app, 'control-plane/app.ts', 'control-plane/adapters', 'control-plane/https', 'control-plane/dns'],
  },
  folder('control-plane/https', shared),
  folder('control-plane/balancer', shared),
  folder('control-plane/dns', shared),
  folder('control-plane/cli', [...shared, 'control-plane/https', 'control-plane/balancer', 'control-plane/dns']),
  {
    name: 'node-agent main',
    holds: /^node-agent\/main\.ts$/,
    mayImport: [...shared, 'node-agent/adapters', 'node-agent'],
  },
  folder('node-agent/adapters', [...shared, 'node-agent']),
  { name: 'node-agent', holds: /^node-agent\/(?!main\.ts$|adapters\/)/, mayImport: shared },
  {
    name: 'infra',
    holds: /^infra\//,
    mayImport: [
      ...app,
      ...mains,
      'control-plane/app.ts',
      'control-plane/adapters',
      'control-plane/balancer',
      'control-plane/cli',
      'control-plane/dns',
      'control-plane/https',
      'node-agent',
      'node-agent/adapters',
    ],
  },
  {
    name: 'tests',
    holds: /^tests\//,
    mayImport: [
      ...app,
      ...mains,
      'control-plane/app.ts',
      'control-plane/adapters',
      'control-plane/balancer',
      'control-plane/cli',
      'control-plane/dns',
      'control-plane/https',
      'node-agent',
      'node-agent/adapters',
      'infra',
    ],
  },
];

const outsideOfTheFloors = /^vitest\.config\.ts$/;

function floorOf(path: string): Floor | undefined {
  return floors.find((floor) => floor.holds.test(path));
}

export function checkFloors(files: readonly SourceFile[]): readonly Finding[] {
  return files.filter(({ path }) => !outsideOfTheFloors.test(path)).flatMap(checkFileOnFloor);
}

function checkFileOnFloor(file: SourceFile): readonly Finding[] {
  const from = floorOf(file.path);
  if (from === undefined) {
    const message =
      'this file is on no floor. Move it to a folder that the design names, or add its folder to the design and to ' +
      'tests/tidy/floors.ts: what may import what must be decided before code leans on it.';
    return [{ path: file.path, line: 1, message }];
  }
  return file.imports.flatMap((each) => {
    if (each.file === undefined) return [];
    const to = floorOf(each.file);
    if (to === undefined || to === from || from.mayImport.includes(to.name)) return [];
    return [{ path: file.path, line: each.line, message: forbidden(from, to) }];
  });
}

function forbidden(from: Floor, to: Floor): string {
  const allowed = from.mayImport.length === 0 ? 'nothing' : from.mayImport.join(', ');
  const advice = to.name.endsWith('/adapters')
    ? 'Take what you need as an argument, typed by a contract; a main hands the adapter in, so that everything else runs in a Worker and in the simulator.'
    : 'Move what both need to a lower floor, or take it as an argument: imports go down only, so that a floor can be read without those above it.';
  return `${from.name} may not import ${to.name} (it may import: ${allowed}). ${advice}`;
}

/** Circles among files, and among the folders of the second level; type imports count. Each circle is reported once. */
export function checkCycles(files: readonly SourceFile[]): readonly Finding[] {
  const known = new Set(files.map((file) => file.path));
  const fileEdges = new Map<string, Edge[]>();
  const folderEdges = new Map<string, Edge[]>();
  for (const file of files) {
    for (const { file: target, line } of file.imports) {
      if (target === undefined || !known.has(target)) continue;
      addEdge(fileEdges, file.path, { to: target, path: file.path, line });
      const [from, to] = [secondLevelFolder(file.path), secondLevelFolder(target)];
      if (from !== to) addEdge(folderEdges, from, { to, path: file.path, line });
    }
  }
  return [...findCycles(fileEdges), ...findCycles(folderEdges)];
}

type Edge = { readonly to: string; readonly path: string; readonly line: number };

function addEdge(edges: Map<string, Edge[]>, from: string, edge: Edge): void {
  edges.set(from, [...(edges.get(from) ?? []), edge]);
}

/** A file directly in a folder of the first level, such as a main, stands for itself. */
function secondLevelFolder(path: string): string {
  return path.split('/').slice(0, 2).join('/');
}

function findCycles(edges: ReadonlyMap<string, readonly Edge[]>): readonly Finding[] {
  const findings: Finding[] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): void => {
    for (const { to, path, line } of edges.get(name) ?? []) {
      const at = trail.indexOf(to);
      if (at !== -1) findings.push({ path, line, message: circle([...trail.slice(at), to]) });
      else if (!done.has(to)) visit(to, [...trail, to]);
    }
    done.add(name);
  };
  for (const name of edges.keys()) if (!done.has(name)) visit(name, [name]);
  return findings;
}

function circle(names: readonly string[]): string {
  return (
    `this import closes a circle: ${names.join(' → ')}. Move what is shared into a file of its own below both: ` +
    'files in a circle can only be understood, tested and moved together.'
  );
}
