/**
 * Makes the images. What goes into one is put together in a folder of its own first, so that nothing else of a checkout gets there:
 * no tests, no development packages, no files that happen to lie around.
 *
 *     node infra/images/build.ts control-plane --tag registry.example/berth-control-plane:1 [--base node:24-slim]
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundleAgent } from '../bundle/agent.ts';
import { productionPackages } from './production-packages.ts';

const root = join(import.meta.dirname, '../..');
const SOURCES = ['control-plane', 'shared', 'package.json', 'LICENSE'];

const IMAGES = { 'control-plane': stageControlPlane, agent: stageAgent } as const;
type ImageName = keyof typeof IMAGES;

function isImageName(name: string | undefined): name is ImageName {
  return name !== undefined && Object.hasOwn(IMAGES, name);
}

function stageControlPlane(folder: string): void {
  for (const source of SOURCES) cpSync(join(root, source), join(folder, source), { recursive: true });
  const { needed, optional } = productionPackages(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const present = optional.filter((path) => existsSync(join(root, path)));
  for (const path of [...needed, ...present]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path), { recursive: true });
  }
}

async function stageAgent(folder: string): Promise<void> {
  const { path } = await bundleAgent();
  cpSync(path, join(folder, 'berth-agent.cjs'));
}

async function main(): Promise<number> {
  const options = { tag: { type: 'string' }, base: { type: 'string' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [name] = positionals;
  if (!isImageName(name) || values.tag === undefined || positionals.length > 1) {
    console.error(`Usage: node infra/images/build.ts ${Object.keys(IMAGES).join('|')} --tag NAME [--base IMAGE]`);
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'berth-image-'));
  try {
    await IMAGES[name](folder);
    const base = values.base === undefined ? [] : ['--build-arg', `BASE=${values.base}`];
    const file = ['--file', join(import.meta.dirname, `${name}.dockerfile`)];
    return (
      spawnSync('docker', ['build', '--tag', values.tag, ...base, ...file, folder], { stdio: 'inherit' }).status ?? 1
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
