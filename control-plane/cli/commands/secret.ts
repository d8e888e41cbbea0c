/** `berth secret`: what is kept in confidence for roles. A value comes from a terminal, standard input or a file, never from an argument. */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { allPages } from '../../../shared/client/client.ts';
import type { SecretRequestInput } from '../../../shared/protocol/secrets.ts';
import { base64Encode, utf8Decode } from '../../../shared/util/codec.ts';
import { jobKey, jobName } from '../arguments.ts';
import { CliError, EXIT } from '../exit.ts';
import type { Io } from '../io.ts';
import { secretShape } from '../output/secret-shapes.ts';
import { counted } from '../output/text.ts';
import { collect, openSession } from '../session.ts';

const KEY_BYTES = 32;
/** Each call of the server does a bounded part. */
const RESEAL_CALLS_MAX = 100_000;

const SET_HELP = `
The value is asked for on a terminal, or read from standard input or a file: other users of a machine see the arguments of
programs. It is kept to the letter, with a line feed at its end if there is one.

Examples:
  berth secret set db-password --role eng                    asks for it
  printf %s "$PASSWORD" | berth secret set db-password --role eng
  berth secret set tls-key --role eng --from-file key.pem
`;

export function addSecretCommands(program: Command, io: Io): void {
  const secret = program
    .command('secret')
    .summary('set, list and remove what tasks are given in confidence')
    .description('What is kept in confidence for a role. Tasks whose jobs name it are given it; nobody is shown it.');
  addSet(secret, io);
  secret
    .command('list')
    .description('List secrets: their versions and who uses them, never what they say.')
    .option('--role <path>', 'only of this role and those below it')
    .action(async (flags: { role?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const secrets = await collect(allPages((page) => client.secrets.list({ ...page, role: flags.role })));
      printer.list(secrets, secretShape);
    });
  secret
    .command('rm')
    .description('Remove a secret.')
    .argument('<secret>', 'its name, or role/name')
    .option('--role <path>', 'its role (default: default)')
    .option('--force', 'also while jobs name it: their next tasks fail')
    .action(async (name: string, { role, force = false }: { role?: string; force?: boolean }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const key = jobKey(name, role);
      await client.secrets.remove(key, { force });
      printer.note(`secret ${jobName(key)} is removed; tasks that run keep what they were given`);
    });
  addReseal(secret, io);
  addKeygen(secret, io);
}

function addSet(secret: Command, io: Io): void {
  secret
    .command('set')
    .description('Set a secret.')
    .argument('<secret>', 'its name, or role/name')
    .option('--role <path>', 'its role (default: default)')
    .option('--from-file <path>', 'what holds the value; any bytes will do')
    .addHelpText('after', SET_HELP)
    .action(async (name: string, { role, fromFile }: { role?: string; fromFile?: string }, self: Command) => {
      const { client, printer } = await openSession(io, self);
      const key = jobKey(name, role);
      const request = fromFile === undefined ? await typedValue(io, jobName(key)) : await fileValue(fromFile);
      const set = await client.secrets.set(key, request);
      printer.one(set, { name: jobName(key), render: () => '' });
      const ending =
        request.encoding === 'utf8' && request.value.endsWith('\n') ? '; its last letter is a line feed' : '';
      printer.note(`secret ${jobName(key)} is at version ${set.version}${ending}`);
    });
}

async function typedValue(io: Io, name: string): Promise<SecretRequestInput> {
  const value = (await io.readHidden(`What secret ${name} is to say: `)) ?? (await io.readStdin());
  // What isn't UTF-8 was replaced while it was read.
  if (!value.includes('\ufffd')) return { value, encoding: 'utf8' };
  throw new CliError('standard input is no text', {
    exitCode: EXIT.usage,
    remedy: 'Give any bytes by --from-file.',
  });
}

async function fileValue(path: string): Promise<SecretRequestInput> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new CliError(`the file can't be read: ${error.message}`, { exitCode: EXIT.usage });
  });
  try {
    return { value: utf8Decode(bytes), encoding: 'utf8' };
  } catch {
    return { value: base64Encode(bytes), encoding: 'base64' };
  }
}

function addReseal(secret: Command, io: Io): void {
  secret
    .command('reseal')
    .description(
      "Bring everything that is sealed, the control plane's own keys too, under the first envelope key of the replica.",
    )
    .addHelpText('after', '\nOnce nothing is left, the other envelope keys can be taken from the replicas.\n')
    .action(async (_flags: object, self: Command) => {
      const { client, printer } = await openSession(io, self);
      let resealed = 0;
      for (let calls = 0; calls < RESEAL_CALLS_MAX; calls++) {
        const step = await client.secrets.reseal();
        resealed += step.resealed;
        if (step.left > 0 && step.resealed > 0) continue;
        printer.note(`${counted(resealed, 'record')} sealed anew under ${step.envelopeKey}, ${step.left} left`);
        if (step.left === 0) return;
        throw new CliError(`${step.left} could not be sealed anew`, {
          exitCode: EXIT.failed,
          remedy: `${step.unopenable} are sealed under keys that this replica doesn't have: add those keys to its file, and try again.`,
        });
      }
    });
}

function addKeygen(secret: Command, io: Io): void {
  secret
    .command('keygen')
    .description(
      'Make an envelope key. It alone goes to stdout, as a line for the file that replicas are started with.',
    )
    .option('--name <name>', 'what it is called (default: the date)', keyName)
    .addHelpText(
      'after',
      `
Examples:
  (umask 077; berth secret keygen > envelope-keys)
  berth control-plane --envelope-key-file envelope-keys ...

To change the key: put a new one at the end of every replica's file and start them again; then move it to the beginning, and
start them again; then berth secret reseal, and take the old one away. A copy of the file belongs where etcd's backups don't lie.
`,
    )
    .action(({ name }: { name?: string }) => {
      const today = new Date(io.clock.now()).toISOString().slice(0, 10);
      io.out.write(`${name ?? today} ${base64Encode(io.random.bytes(KEY_BYTES))}\n`);
    });
}

function keyName(text: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(text)) return text;
  throw new InvalidArgumentError('It must be letters, digits, "_" and "-", at most 63.');
}
