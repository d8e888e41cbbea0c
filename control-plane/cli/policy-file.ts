/** Files of trust policies: one or more YAML (or JSON) documents. The server's schema judges them. */
import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import type { PolicyRequestInput, PolicyView } from '../../shared/protocol/policies.ts';
import { CliError, EXIT } from './exit.ts';

export interface PolicyDocument {
  readonly name: string;
  readonly request: PolicyRequestInput;
}

const FILE_CHARACTERS_MAX = 4 * 1024 * 1024;
const DOCUMENTS_MAX = 200;

/** `-` is standard input. */
export async function readPolicyFile(path: string, readStdin: () => Promise<string>): Promise<PolicyDocument[]> {
  const text = path === '-' ? await readStdin() : await readText(path);
  if (text.length > FILE_CHARACTERS_MAX) throw fault(path, 'is larger than 4 MiB');
  const parsed = parseAllDocuments(text, { prettyErrors: true });
  const documents = 'empty' in parsed ? [] : parsed.filter((document) => document.contents !== null);
  if (documents.length === 0) throw fault(path, 'holds no policy');
  if (documents.length > DOCUMENTS_MAX) throw fault(path, `holds more than ${DOCUMENTS_MAX} policies`);
  return documents.map((document, index) => {
    const [error] = document.errors;
    if (error !== undefined) throw fault(path, error.message);
    return policyDocument(document.toJS(), `${path}, policy ${index + 1}`);
  });
}

/** What the API adds is left out, so that a policy that was shown can be applied again. */
function policyDocument(value: unknown, where: string): PolicyDocument {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fault(where, 'is not a map');
  const { name, ...rest } = value as { name?: unknown } & Partial<PolicyView>;
  if (typeof name !== 'string') throw fault(where, '/name is required: a text that names the policy');
  const { version: _version, updatedAt: _at, updatedBy: _by, ...said } = rest;
  return { name, request: withoutNulls(said) as PolicyRequestInput };
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== null);
  return Object.fromEntries(entries.map(([name, member]) => [name, withoutNulls(member)]));
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new CliError(`the policy file can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
}

function fault(where: string, message: string): CliError {
  return new CliError(`${where}: ${message}`, { exitCode: EXIT.usage });
}
