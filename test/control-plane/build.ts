// The programs of a Kubernetes control plane: found in KUBEBUILDER_ASSETS, or compiled once from the public Go modules and
// kept in a cache folder. The version of each module is pinned in k8s-<minor>.mod and .sum.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const;
/** What a folder of KUBEBUILDER_ASSETS has at least; its usual content has no controller manager. */
const ASSETS = ['etcd', 'kube-apiserver'] as const;
const MODULE_FOLDER = import.meta.dirname;
const MAX_OUTPUT_BYTES = 64 << 20;

/** Kubernetes release that is built unless another one is asked for. */
export const DEFAULT_VERSION = '1.37.2';

/** `1.37` of `1.37.2`. */
function minorOf(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

function pinFile(version: string): string {
  return join(MODULE_FOLDER, `k8s-${minorOf(version)}.mod`);
}

function hasGo(): boolean {
  return spawnSync('go', ['env', 'GOVERSION'], { cwd: MODULE_FOLDER, stdio: 'ignore' }).status === 0;
}

/** Folder of ready-made programs, or undefined. Throws when KUBEBUILDER_ASSETS is set and lacks one of them. */
function assetsFolder(): string | undefined {
  const folder = process.env.KUBEBUILDER_ASSETS;
  if (folder === undefined || folder === '') return undefined;
  const missing = ASSETS.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) throw new Error(`KUBEBUILDER_ASSETS=${folder} has no ${missing.join(' and no ')}`);
  return folder;
}

/** Why no control plane can be started on this machine, or null when it can: the text that a skipped suite prints. */
export function missingControlPlane(): string | null {
  if (assetsFolder() !== undefined || hasGo()) return null;
  return 'SKIPPED: no Go to build kube-apiserver and etcd with, and KUBEBUILDER_ASSETS is not set';
}

/**
 * Pins one Kubernetes release: writes k8s-<minor>.mod and .sum. The release's own go.mod replaces its staging modules by
 * folders of its repository; whoever uses it as a dependency must replace each of them by the published module
 * (1.37.2 → v0.37.2). etcd: the version that the release was tested with.
 */
export async function pinVersion(version: string): Promise<string> {
  const download = await exec('go', ['mod', 'download', '-json', `k8s.io/kubernetes@v${version}`], { cwd: MODULE_FOLDER });
  const { GoMod } = JSON.parse(download.stdout) as { readonly GoMod: string };
  const upstream = readFileSync(GoMod, 'utf8');
  const linesOf = (pattern: RegExp): string[] => [...upstream.matchAll(pattern)].map((match) => match[1]!);
  const published = `v0.${version.split('.').slice(1).join('.')}`;
  const file = pinFile(version);
  const text = [
    'module kai-scheduler-ts/test/control-plane',
    '',
    `go ${linesOf(/^go (\S+)/gm)[0]}`,
    ...linesOf(/^(godebug \S+)$/gm),
    '',
    'require (',
    `\tk8s.io/kubernetes v${version}`,
    `\tgo.etcd.io/etcd/server/v3 ${linesOf(/go\.etcd\.io\/etcd\/client\/v3 (\S+)/g)[0]}`,
    ')',
    '',
    'replace (',
    ...linesOf(/^\s*(k8s\.io\/[a-z-]+) => \.\/staging\//gm).map((name) => `\t${name} => ${name} ${published}`),
    ')',
    '',
  ];
  writeFileSync(file, text.join('\n'));
  rmSync(file.replace(/mod$/, 'sum'), { force: true });
  await exec('go', ['mod', 'tidy', `-modfile=${file}`], { cwd: MODULE_FOLDER, maxBuffer: MAX_OUTPUT_BYTES });
  return file;
}

/** Cache folder of one build: the hash covers pins, sums, sources and the Go version. */
async function cacheFolder(version: string): Promise<string> {
  const pins = pinFile(version);
  if (!existsSync(pins) || !readFileSync(pins, 'utf8').includes(`k8s.io/kubernetes v${version}\n`)) {
    throw new Error(`${pins} does not pin ${version}; run: npm run control-plane -- pin --version ${version}`);
  }
  const hash = createHash('sha256').update((await exec('go', ['env', 'GOVERSION'], { cwd: MODULE_FOLDER })).stdout.trim());
  for (const file of [pins, pins.replace(/mod$/, 'sum'), ...PROGRAMS.map((name) => join(MODULE_FOLDER, name, 'main.go'))]) {
    hash.update(readFileSync(file));
  }
  const cache = process.env.KAI_CONTROL_PLANE_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kai-control-plane');
  return join(cache, `${version}-${hash.digest('hex').slice(0, 12)}`);
}

/** Fixed values instead of the linker's: clients parse /version, and the same sources give the same binaries. */
function versionStamp(version: string): string {
  const [major, minor] = version.split('.');
  const values = {
    gitVersion: `v${version}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  return Object.entries(values)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ');
}

/**
 * Folder with etcd, kube-apiserver and, unless it is KUBEBUILDER_ASSETS, kube-controller-manager and kubectl. Compiles them when
 * the cache has none: about eight minutes on two cores, seconds with a warm Go build cache. A killed build leaves nothing
 * half-made, and two builds at once do not harm each other. Throws with the compiler's output.
 */
export async function buildControlPlane(version = DEFAULT_VERSION, log: (line: string) => void = console.error): Promise<string> {
  const assets = assetsFolder();
  if (assets !== undefined) return assets;
  const folder = await cacheFolder(version);
  if (existsSync(folder)) return folder;
  const partial = `${folder}.${process.pid}`;
  mkdirSync(partial, { recursive: true });
  const flags = [`-modfile=${pinFile(version)}`, '-mod=readonly', '-trimpath', '-buildvcs=false', '-p', '2'];
  const linker = `-s -w ${versionStamp(version)}`;
  log(`building ${PROGRAMS.join(', ')} ${version} into ${folder}: minutes the first time`);
  for (const program of PROGRAMS) {
    const startedMs = performance.now();
    await exec('nice', ['-n', '10', 'go', 'build', ...flags, '-ldflags', linker, '-o', join(partial, program), `./${program}`], {
      cwd: MODULE_FOLDER,
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' },
      maxBuffer: MAX_OUTPUT_BYTES,
    });
    log(`built ${program} ${version} in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  }
  try {
    renameSync(partial, folder);
  } catch (error) {
    // Another process was faster: its result is used.
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
