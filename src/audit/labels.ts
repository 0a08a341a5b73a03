import type { LabelRequirement, LabelSelector, NodeSelectorTerm, Taint, Toleration } from '../base/constraints.ts';

type Labels = Readonly<Record<string, string>>;

function labelOf(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}

function integerOf(text: string | undefined): bigint | null {
  return text !== undefined && /^[+-]?\d{1,19}$/.test(text) ? BigInt(text.replace('+', '')) : null;
}

/** Whether Kubernetes takes the requirement at all: known operator, right number of values. */
function isValid({ operator, values }: LabelRequirement, isForNodes: boolean): boolean {
  const count = values?.length ?? 0;
  if (operator === 'In' || operator === 'NotIn') return count > 0;
  if (operator === 'Exists' || operator === 'DoesNotExist') return count === 0;
  return isForNodes && (operator === 'Gt' || operator === 'Lt') && count === 1 && integerOf(values?.[0]) !== null;
}

function holds({ key, operator, values = [] }: LabelRequirement, labels: Labels): boolean {
  const value = labelOf(labels, key);
  if (operator === 'In') return value !== undefined && values.includes(value);
  if (operator === 'NotIn') return value === undefined || !values.includes(value);
  if (operator === 'Exists') return value !== undefined;
  if (operator === 'DoesNotExist') return value === undefined;
  const [have, bound] = [integerOf(value), integerOf(values[0])];
  return have !== null && bound !== null && (operator === 'Gt' ? have > bound : have < bound);
}

/** An absent selector matches nothing, an empty one everything; a malformed one nothing. */
export function selects(selector: LabelSelector | null | undefined, labels: Labels): boolean {
  if (selector === null || selector === undefined) return false;
  const isEqual = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labelOf(labels, key) === value);
  return isEqual && (selector.matchExpressions ?? []).every((e) => isValid(e, false) && holds(e, labels));
}

/** One alternative of a required node affinity. Without any condition it matches no node. */
export function termSelects(term: NodeSelectorTerm, labels: Labels, nodeName: string): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length + fields.length === 0) return false;
  const fieldHolds = ({ key, operator, values }: LabelRequirement): boolean => {
    if ((operator !== 'In' && operator !== 'NotIn') || values?.length !== 1) return false;
    const isEqual = values[0] === (key === 'metadata.name' ? nodeName : '');
    return isEqual === (operator === 'In');
  };
  return expressions.every((e) => isValid(e, true) && holds(e, labels)) && fields.every(fieldHolds);
}

export function isTolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some(({ key = '', operator = '', value = '', effect = '' }) => {
    if (effect !== '' && effect !== taint.effect) return false;
    if (key !== '' && key !== taint.key) return false;
    if (operator === 'Exists') return true;
    return (operator === '' || operator === 'Equal') && value === (taint.value ?? '');
  });
}
