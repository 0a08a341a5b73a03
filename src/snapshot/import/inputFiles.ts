import { glob, readdir, stat } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { KaiError } from '../../base/errors.ts';

const EXTENSIONS: ReadonlySet<string> = new Set(['.yaml', '.yml', '.json', '.zip']);

export interface InputFile {
  readonly path: string;
  /** Named by the user, not found in a directory or by a pattern: it must be readable. */
  readonly isExplicit: boolean;
}

/**
 * The files behind the paths: a file stands for itself, a directory for all .yaml, .yml, .json and .zip files in it
 * (recursively, without hidden ones), a pattern (`*`, `?`, `[…]`, `{…}`) for what it matches. Each file once, sorted within
 * its path. Throws KaiError NO_INPUT for a path that stands for nothing.
 */
export async function findInputFiles(paths: readonly string[]): Promise<readonly InputFile[]> {
  const found = new Map<string, InputFile>();
  for (const path of paths) {
    for (const file of await filesOf(path)) if (!found.has(normalize(file.path))) found.set(normalize(file.path), file);
  }
  return [...found.values()];
}

async function filesOf(path: string): Promise<readonly InputFile[]> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return inDirectory(path);
  if (stats !== undefined) return [{ path, isExplicit: true }];
  if (!/[*?[{]/.test(path)) throw new KaiError('NO_INPUT', `${path}: no such file or directory`);
  const matches: InputFile[] = [];
  for await (const match of glob(path)) {
    const matched = await stat(match);
    if (matched.isDirectory()) matches.push(...(await inDirectory(match)));
    else matches.push({ path: match, isExplicit: false });
  }
  if (matches.length === 0) throw new KaiError('NO_INPUT', `${path}: no file matches`);
  return sorted(matches);
}

async function inDirectory(directory: string): Promise<readonly InputFile[]> {
  const files = sorted(await walk(directory));
  if (files.length === 0) throw new KaiError('NO_INPUT', `${directory}: no .yaml, .yml, .json or .zip file in it`);
  return files;
}

async function walk(directory: string): Promise<readonly InputFile[]> {
  const files: InputFile[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const path = join(directory, entry.name);
    if (entry.isDirectory()) files.push(...(await walk(path)));
    else if (EXTENSIONS.has(extname(entry.name).toLowerCase())) files.push({ path, isExplicit: false });
  }
  return files;
}

function sorted(files: readonly InputFile[]): readonly InputFile[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}
