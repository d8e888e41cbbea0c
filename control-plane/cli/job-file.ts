/**
 * Job files: one or more YAML (or JSON) documents, each a job. What is wrong in them is found by the server, whose schema is the
 * one that counts; here its pointers are turned into the lines that a person has to look at.
 */
import { readFile } from 'node:fs/promises';
import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Fault } from '../../shared/domain/errors.ts';
import type { JobKey } from '../../shared/domain/ids.ts';
import type { JobSpecInput } from '../../shared/protocol/job.ts';
import { CliError, EXIT } from './exit.ts';
import { printable } from './output/text.ts';

export interface JobDocument {
  /** As messages name it: the file's path, or `stdin`. */
  readonly file: string;
  /** What stands in it; checked no further than that it is a map with a name. */
  readonly spec: JobSpecInput;
  readonly key: JobKey;
  /** `jobs.yaml:12:5: /groups/0/count: must be at least 1` */
  locate(fault: Fault): string;
}

const FILE_CHARACTERS_MAX = 16 * 1024 * 1024;
const DOCUMENTS_MAX = 1000;

/** Reads every job of every file; `-` is standard input. Faults of form in all files are reported together. */
export async function readJobFiles(paths: readonly string[], readStdin: () => Promise<string>): Promise<JobDocument[]> {
  const documents: JobDocument[] = [];
  const faults: string[] = [];
  for (const path of paths) {
    const text = path === '-' ? await readStdin() : await readText(path);
    const parsed = parseJobFile(path === '-' ? 'stdin' : path, text);
    documents.push(...parsed.documents);
    faults.push(...parsed.faults);
  }
  if (faults.length > 0) throw jobFileError(faults);
  return documents;
}

export function jobFileError(lines: readonly string[]): CliError {
  const what = lines.length === 1 ? 'a fault' : `${lines.length} faults`;
  return new CliError(`the job file has ${what}; nothing was changed`, { exitCode: EXIT.usage, lines });
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new CliError(`the job file can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
}

export interface ParsedJobFile {
  readonly documents: readonly JobDocument[];
  readonly faults: readonly string[];
}

export function parseJobFile(file: string, text: string): ParsedJobFile {
  if (text.length > FILE_CHARACTERS_MAX) return { documents: [], faults: [`${file}: is larger than 16 MiB`] };
  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter, prettyErrors: false });
  const inFile = 'empty' in parsed ? [] : parsed.filter((document) => !isEmpty(document));
  if (inFile.length === 0) return { documents: [], faults: [`${file}: holds no job`] };
  if (inFile.length > DOCUMENTS_MAX)
    return { documents: [], faults: [`${file}: holds more than ${DOCUMENTS_MAX} jobs`] };
  const documents: JobDocument[] = [];
  const faults: string[] = [];
  for (const document of inFile) {
    const source: Source = { file, document, lineCounter };
    const found = faultsOfForm(source);
    if (found.length > 0) faults.push(...found);
    else documents.push(jobDocument(source));
  }
  return { documents, faults };
}

interface Source {
  readonly file: string;
  readonly document: Document.Parsed;
  readonly lineCounter: LineCounter;
}

function isEmpty(document: Document.Parsed): boolean {
  const { contents, errors } = document;
  return errors.length === 0 && (contents === null || (isScalar(contents) && contents.value === null));
}

function faultsOfForm(source: Source): string[] {
  const { document } = source;
  if (document.errors.length > 0) {
    return document.errors.map((error) => `${place(source, error.pos[0])}: ${printable(error.message)}`);
  }
  if (!isMap(document.contents))
    return [`${place(source, offsetOf(document.contents))}: a job is a map, such as {name: hello, groups: [...]}`];
  const unfolded = unfoldAliases(source);
  if (unfolded !== null) return [unfolded];
  const name = document.get('name');
  if (typeof name !== 'string') return [at(source, '/name', 'is required: a text that names the job')];
  const role = document.get('role');
  return role === undefined || typeof role === 'string' ? [] : [at(source, '/role', 'must be a text')];
}

/** A few aliases can stand for gigabytes; the library counts and stops. */
function unfoldAliases(source: Source): string | null {
  try {
    source.document.toJS();
    return null;
  } catch (error) {
    return at(source, '', error instanceof Error ? error.message : String(error));
  }
}

function jobDocument(source: Source): JobDocument {
  // The server's schema judges the rest: a client that is older than it mustn't refuse what it doesn't know.
  const spec = source.document.toJS() as JobSpecInput;
  return {
    file: source.file,
    spec,
    key: { name: spec.name, role: spec.role ?? 'default' },
    locate: (fault) => at(source, fault.path, fault.message),
  };
}

function at(source: Source, pointer: string, message: string): string {
  const offset = offsetAt(source.document, pointer);
  const path = pointer === '' ? '' : `${pointer}: `;
  return printable(`${place(source, offset)}: ${path}${message}`);
}

function place({ file, lineCounter }: Source, offset: number): string {
  const { line, col } = lineCounter.linePos(offset);
  return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
}

/** Where the thing that a JSON pointer names is written; what isn't there is looked for where it would belong. */
function offsetAt(document: Document.Parsed, pointer: string): number {
  let node: unknown = document.contents;
  let offset = offsetOf(node);
  if (!pointer.startsWith('/')) return offset;
  for (const escaped of pointer.slice(1).split('/')) {
    const segment = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    const next = childOf(node, segment);
    if (next === null) return offset;
    node = next.value;
    offset = next.offset;
  }
  return offset;
}

function childOf(node: unknown, segment: string): { value: unknown; offset: number } | null {
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === segment);
    return pair === undefined ? null : { value: pair.value, offset: offsetOf(pair.key) };
  }
  if (isSeq(node)) {
    const item = node.items[Number(segment)];
    return item === undefined ? null : { value: item, offset: offsetOf(item) };
  }
  return null;
}

function offsetOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}
