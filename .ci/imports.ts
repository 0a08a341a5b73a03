// Checks the import direction of the house layout on resolved files: `node .ci/imports.ts [ROOT]`. Biome's rule of the
// same content matches specifiers only; this one resolves them, so a detour such as ../../src/cli/x.ts is found too.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

/** What the files of a folder of src may import from src, besides their own folder. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  base: [],
  engine: ['base'],
  snapshot: ['base'],
  config: ['base'],
  audit: ['base'],
  workers: ['snapshot', 'engine', 'base'],
  runner: ['snapshot', 'engine', 'config', 'base'],
  kubernetes: ['snapshot', 'engine', 'config', 'base'],
  binder: ['kubernetes', 'runner', 'snapshot', 'engine', 'config', 'base'],
  controllers: ['kubernetes', 'runner', 'snapshot', 'engine', 'config', 'base'],
  admission: ['kubernetes', 'runner', 'snapshot', 'engine', 'config', 'base'],
  simulator: ['audit', 'kubernetes', 'runner', 'snapshot', 'engine', 'config', 'base'],
  web: ['kubernetes', 'runner', 'snapshot', 'engine', 'config', 'base'],
  scheduler: ['binder', 'kubernetes', 'web', 'runner', 'snapshot', 'engine', 'config', 'base'],
  cli: [
    'scheduler',
    'binder',
    'controllers',
    'admission',
    'simulator',
    'web',
    'audit',
    'kubernetes',
    'runner',
    'snapshot',
    'engine',
    'config',
    'base',
  ],
};
/** Layers below the runner: they may not know the worker protocol. */
const BELOW_PROTOCOL = new Set(['base', 'engine', 'snapshot', 'config']);
/** Pure layers, with the packages they may use: no node:* module, no other package. */
const PURE_PACKAGES: Readonly<Record<string, readonly string[]>> = { base: [], engine: ['mnemonist', '@marcbachmann/cel-js'] };
const PROTOCOL = 'workers/protocol.ts';

interface ImportEdge {
  readonly specifier: string;
  readonly line: number;
}
export interface Breach {
  /** Path relative to the root, with forward slashes. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}
export interface ImportReport {
  readonly modules: number;
  readonly edges: number;
  readonly breaches: readonly Breach[];
}

/** Static, type-only, re-exporting and dynamic imports of a source text, comments left out. */
function importsOf(source: string): ImportEdge[] {
  const code = source
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '))
    .replace(/(^|[^:'"`])\/\/[^\n]*/g, (comment, before: string) => before + ' '.repeat(comment.length - before.length));
  const edges: ImportEdge[] = [];
  const forms = [
    /\bimport\s*(?:type\s)?[\w\s{},*$]*?\bfrom\s*(['"])(?<specifier>[^'"\n]+)\1/g,
    /\bexport\s*(?:type\s*)?(?:\*(?:\s*as\s+\w+)?|\{[^}]*\})\s*from\s*(['"])(?<specifier>[^'"\n]+)\1/g,
    /\bimport\s*(['"])(?<specifier>[^'"\n]+)\1/g,
    /\bimport\s*\(\s*(['"`])(?<specifier>[^'"`\n]+)\1/g,
  ];
  for (const form of forms) {
    for (const match of code.matchAll(form)) {
      const at = match.index + match[0].lastIndexOf(match.groups?.specifier ?? '');
      edges.push({ specifier: match.groups?.specifier ?? '', line: code.slice(0, at).split('\n').length });
    }
  }
  return edges.sort((a, b) => a.line - b.line);
}

/** Why the file of `layer` may not have this import, or null. `target` is relative to src, null outside of it. */
function refusal(layer: string, specifier: string, target: string | null): string | null {
  const packages = PURE_PACKAGES[layer];
  if (!specifier.startsWith('.')) {
    if (packages === undefined || packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return null;
    return `src/${layer} is pure and may not import ${specifier}`;
  }
  if (target === null) return `src may not import ${specifier} outside src`;
  const to = target.split('/')[0] ?? '';
  if (to === layer || MAY_IMPORT[layer]?.includes(to)) return null;
  if (target === PROTOCOL && !BELOW_PROTOCOL.has(layer)) return null;
  return `src/${layer} may not import src/${target}`;
}

function checkFile(src: string, path: string, breaches: Breach[]): number {
  const inSrc = relative(src, path).split(sep).join('/');
  const layer = inSrc.split('/')[0] ?? '';
  const edges = importsOf(readFileSync(path, 'utf8'));
  const add = (line: number, message: string): number => breaches.push({ file: `src/${inSrc}`, line, message });
  if (!(layer in MAY_IMPORT)) add(1, `src/${layer} is no folder of the house layout`);
  for (const { specifier, line } of edges) {
    let target: string | null = null;
    if (specifier.startsWith('.')) {
      const file = resolve(dirname(path), specifier);
      if (!existsSync(file) || !statSync(file).isFile()) {
        add(line, `${specifier} does not exist`);
        continue;
      }
      const toSrc = relative(src, file).split(sep).join('/');
      target = toSrc.startsWith('../') ? null : toSrc;
    }
    const message = refusal(layer, specifier, target);
    if (message !== null) add(line, message);
  }
  return edges.length;
}

/** Checks every module below `root`/src. The caller must refuse a report of 0 modules. */
export function checkImports(root: string): ImportReport {
  const src = join(resolve(root), 'src');
  const files = existsSync(src) ? readdirSync(src, { recursive: true, encoding: 'utf8' }) : [];
  const breaches: Breach[] = [];
  let modules = 0;
  let edges = 0;
  for (const name of files.sort()) {
    if (!/\.(ts|js)$/.test(name)) continue;
    modules++;
    edges += checkFile(src, join(src, name), breaches);
  }
  return { modules, edges, breaches };
}

if (import.meta.main) {
  const report = checkImports(process.argv[2] ?? join(import.meta.dirname, '..'));
  for (const breach of report.breaches) console.log(`${breach.file}:${breach.line}: ${breach.message}`);
  console.log(`${report.modules} modules, ${report.edges} imports, ${report.breaches.length} against the layout`);
  if (report.modules === 0) console.log('No modules were looked at: wrong folder?');
  if (report.modules === 0 || report.breaches.length > 0) process.exitCode = 1;
}
