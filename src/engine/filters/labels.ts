import type { LabelSetsColumns } from '../../base/columns.gen.ts';
import type { LabelRequirement, LabelSelector, NodeSelectorTerm, PodConstraints } from '../../base/constraints.ts';
import { NO_ROW } from '../../base/rows.ts';
import type { SnapshotView } from '../../base/snapshotView.ts';
import type { Texts } from '../../base/text.ts';

/** Result of `labelValueRow` for a key that the set does not hold; never a text row. */
export const ABSENT = -2;

const Operator = { in: 0, notIn: 1, exists: 2, doesNotExist: 3, gt: 4, lt: 5 } as const;
type Operator = (typeof Operator)[keyof typeof Operator];

const OPERATOR_OF: ReadonlyMap<string, Operator> = new Map([
  ['In', Operator.in],
  ['NotIn', Operator.notIn],
  ['Exists', Operator.exists],
  ['DoesNotExist', Operator.doesNotExist],
  ['Gt', Operator.gt],
  ['Lt', Operator.lt],
]);

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** One condition on a label, with key and values as text rows. A string that the snapshot does not hold has NO_ROW. */
export interface CompiledRequirement {
  readonly keyRow: number;
  readonly operator: Operator;
  readonly valueRows: ReadonlySet<number>;
  /** Right side of Gt and Lt. */
  readonly bound: bigint;
  /** Results of Gt and Lt per value row; numbers are parsed once per distinct label value. */
  readonly verdicts: Map<number, boolean>;
}

/** Conditions that must all hold. `null` selects nothing, an empty list selects everything. */
export type CompiledSelector = readonly CompiledRequirement[] | null;

/** One alternative of a node selector. A malformed or empty term selects no node and is left out. */
export interface CompiledNodeTerm {
  readonly requirements: readonly CompiledRequirement[];
  /** Conditions on `metadata.name`. */
  readonly names: readonly { readonly isIn: boolean; readonly nameRow: number }[];
}

/** The constraints of a signature; an empty record for NO_ROW. */
export function readConstraints(view: SnapshotView, signatureRow: number): PodConstraints {
  if (signatureRow < 0) return {};
  const row = view.signatures.specJson[signatureRow] ?? NO_ROW;
  return row < 0 ? {} : (JSON.parse(view.texts.get(row)) as PodConstraints);
}

/** Value text row of a key, or ABSENT. `setRow` and `keyRow` may be NO_ROW. */
export function labelValueRow(sets: LabelSetsColumns, setRow: number, keyRow: number): number {
  if (setRow < 0 || keyRow < 0) return ABSENT;
  const pairs = sets.pairs;
  let at = sets.pairStart[setRow]!;
  const end = at + 2 * sets.pairCount[setRow]!;
  for (; at < end; at += 2) {
    if (pairs[at] === keyRow) return pairs[at + 1]!;
  }
  return ABSENT;
}

/** Compiles one requirement; `null` when Kubernetes refuses it (unknown operator, wrong number of values, not a number). */
export function compileRequirement(texts: Texts, requirement: LabelRequirement, isForNodes: boolean): CompiledRequirement | null {
  const operator = OPERATOR_OF.get(requirement.operator);
  const values = requirement.values ?? [];
  if (operator === undefined) return null;
  let bound = 0n;
  if (operator === Operator.in || operator === Operator.notIn) {
    if (values.length === 0) return null;
  } else if (operator === Operator.exists || operator === Operator.doesNotExist) {
    if (values.length > 0) return null;
  } else {
    const parsed = values.length === 1 && isForNodes ? parseInt64(values[0]!) : null;
    if (parsed === null) return null;
    bound = parsed;
  }
  const keyRow = texts.find(requirement.key);
  return { keyRow, operator, valueRows: valueRowsOf(texts, values), bound, verdicts: new Map() };
}

/** `key = value` for every pair, without validation, as `nodeSelector` and `matchLabels`. */
export function compileEqualities(texts: Texts, pairs: Readonly<Record<string, string>>): CompiledRequirement[] {
  return Object.keys(pairs)
    .sort()
    .map((key) => ({
      keyRow: texts.find(key),
      operator: Operator.in,
      valueRows: valueRowsOf(texts, [pairs[key]!]),
      bound: 0n,
      verdicts: new Map(),
    }));
}

/** A label selector: absent selects nothing, empty everything; one malformed part makes it select nothing. */
export function compileLabelSelector(texts: Texts, selector: LabelSelector | null | undefined): CompiledSelector {
  if (selector === undefined || selector === null) return null;
  const out = compileEqualities(texts, selector.matchLabels ?? {});
  for (const expression of selector.matchExpressions ?? []) {
    const compiled = compileRequirement(texts, expression, false);
    if (compiled === null) return null;
    out.push(compiled);
  }
  return out;
}

/** Alternatives of a required node affinity, without those that select nothing. */
export function compileNodeTerms(texts: Texts, terms: readonly NodeSelectorTerm[]): CompiledNodeTerm[] {
  const out: CompiledNodeTerm[] = [];
  for (const term of terms) {
    const compiled = compileNodeTerm(texts, term);
    if (compiled !== null) out.push(compiled);
  }
  return out;
}

function compileNodeTerm(texts: Texts, term: NodeSelectorTerm): CompiledNodeTerm | null {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length + fields.length === 0) return null;
  const requirements: CompiledRequirement[] = [];
  for (const expression of expressions) {
    const compiled = compileRequirement(texts, expression, true);
    if (compiled === null) return null;
    requirements.push(compiled);
  }
  const names: { isIn: boolean; nameRow: number }[] = [];
  for (const field of fields) {
    const isIn = field.operator === 'In';
    if ((!isIn && field.operator !== 'NotIn') || field.values?.length !== 1) return null;
    const value = field.values[0]!;
    // Any other field reads as '' on every node.
    if (field.key === 'metadata.name') names.push({ isIn, nameRow: texts.find(value) });
    else if (isIn !== (value === '')) return null;
  }
  return { requirements, names };
}

/** Whether a label set satisfies one requirement. */
function matchesRequirement(view: SnapshotView, setRow: number, requirement: CompiledRequirement): boolean {
  const value = labelValueRow(view.labelSets, setRow, requirement.keyRow);
  switch (requirement.operator) {
    case Operator.in:
      return requirement.valueRows.has(value);
    case Operator.notIn:
      return !requirement.valueRows.has(value);
    case Operator.exists:
      return value !== ABSENT;
    case Operator.doesNotExist:
      return value === ABSENT;
    default:
      return value !== ABSENT && isBeyond(view.texts, requirement, value);
  }
}

/** Whether a label set satisfies all requirements. */
export function matchesAll(view: SnapshotView, setRow: number, requirements: readonly CompiledRequirement[]): boolean {
  for (let i = 0; i < requirements.length; i++) {
    if (!matchesRequirement(view, setRow, requirements[i]!)) return false;
  }
  return true;
}

/** Whether any alternative selects the node; with `nameRow` NO_ROW conditions on the name are not looked at. */
export function matchesAnyTerm(view: SnapshotView, terms: readonly CompiledNodeTerm[], setRow: number, nameRow: number): boolean {
  for (let t = 0; t < terms.length; t++) {
    const term = terms[t]!;
    if (nameRow >= 0 && !matchesNames(term, nameRow)) continue;
    if (matchesAll(view, setRow, term.requirements)) return true;
  }
  return false;
}

/** The In requirement (`key in rows`) by which a selector can be found from a label set; `null` when it has none. */
export function anchorOf(requirements: readonly CompiledRequirement[]): CompiledRequirement | null {
  return requirements.find((r) => r.operator === Operator.in) ?? null;
}

/** The same rules on labels that are strings: namespaces and volumes, whose labels are not interned. */
export function selectsLabels(selector: LabelSelector | null | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined || selector === null) return false;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (!Object.hasOwn(labels, key) || labels[key] !== value) return false;
  }
  return (selector.matchExpressions ?? []).every((e) => selectsByExpression(e, labels));
}

function selectsByExpression(expression: LabelRequirement, labels: Readonly<Record<string, string>>): boolean {
  const values = expression.values ?? [];
  const value = Object.hasOwn(labels, expression.key) ? labels[expression.key] : undefined;
  switch (expression.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return values.length > 0 && (value === undefined || !values.includes(value));
    case 'Exists':
      return values.length === 0 && value !== undefined;
    case 'DoesNotExist':
      return values.length === 0 && value === undefined;
    default:
      return false;
  }
}

function matchesNames(term: CompiledNodeTerm, nameRow: number): boolean {
  for (let i = 0; i < term.names.length; i++) {
    const condition = term.names[i]!;
    if ((condition.nameRow === nameRow) !== condition.isIn) return false;
  }
  return true;
}

function isBeyond(texts: Texts, requirement: CompiledRequirement, valueRow: number): boolean {
  const known = requirement.verdicts.get(valueRow);
  if (known !== undefined) return known;
  const value = parseInt64(texts.get(valueRow));
  const verdict = value !== null && (requirement.operator === Operator.gt ? value > requirement.bound : value < requirement.bound);
  requirement.verdicts.set(valueRow, verdict);
  return verdict;
}

/** Rows of the values that the snapshot holds. An empty value may be stored as NO_ROW. */
function valueRowsOf(texts: Texts, values: readonly string[]): Set<number> {
  const rows = new Set<number>();
  for (const value of values) {
    const row = texts.find(value);
    if (row >= 0) rows.add(row);
    if (value === '') rows.add(NO_ROW);
  }
  return rows;
}

function parseInt64(text: string): bigint | null {
  if (!/^[+-]?\d+$/.test(text)) return null;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return value < INT64_MIN || value > INT64_MAX ? null : value;
}
