import { CORE_SCHEMA, load, mergeTag, YAMLException } from 'js-yaml';

export type YamlDocument = { readonly line: number; readonly value: unknown } | { readonly line: number; readonly error: string };

/** Merge keys (`<<`) as kubectl takes them; scalars by YAML 1.2, so `yes` and `2026-01-01` are texts. */
const SCHEMA = CORE_SCHEMA.withTags(mergeTag);
/** A document may not unfold to more values than this through its aliases, nor hold itself. */
const MAX_NODES = 20_000_000;
const MAX_DEPTH = 100;

/** A `---` at the start of a line begins a document wherever it stands (YAML 1.2 section 9.1.4). */
const SEPARATOR = /^---(?=[ \t\r\n]|$)/gm;

/**
 * The documents of a YAML text one by one, each parsed by itself: one that is broken does not hide the others, and only one
 * is held at a time. Empty documents are left out. `line` is the line (from 1) where the document begins.
 */
export function* yamlDocuments(text: string): Generator<YamlDocument> {
  let start = 0;
  let line = 1;
  for (const match of text.matchAll(SEPARATOR)) {
    yield* parseOne(text.slice(start, match.index), line);
    line += countLines(text, start, match.index);
    start = match.index + 3;
  }
  yield* parseOne(text.slice(start), line);
}

function* parseOne(text: string, line: number): Generator<YamlDocument> {
  if (isBlank(text)) return;
  try {
    const value: unknown = load(text, { schema: SCHEMA });
    if (value === null || value === undefined) return;
    yield isTree(value, { left: MAX_NODES }, 0) ? { line, value } : { line, error: 'aliases unfold to more than can be read' };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const at = error.mark === undefined ? '' : ` (line ${line + error.mark.line})`;
    yield { line, error: `not valid YAML: ${error.reason}${at}` };
  }
}

/** Whether walking the value ends within the budget. Aliases make one object appear in many places, or inside itself. */
function isTree(value: unknown, budget: { left: number }, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (--budget.left < 0 || depth > MAX_DEPTH) return false;
  for (const child of Object.values(value)) if (!isTree(child, budget, depth + 1)) return false;
  return true;
}

/** Only blank lines, comments and directives (`%YAML 1.2`). */
function isBlank(text: string): boolean {
  return !/^[ \t]*[^\s#%]/m.test(text);
}

function countLines(text: string, from: number, to: number): number {
  let lines = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}
