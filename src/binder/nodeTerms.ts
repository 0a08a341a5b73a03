import type { LabelRequirement, NodeSelectorTerm } from '../base/constraints.ts';
import { selectsLabels } from '../engine/filters/labels.ts';

export type Labels = Readonly<Record<string, string>>;

/** Does one of the terms select the node? A term without requirements selects nothing. */
export function selectsNode(terms: readonly NodeSelectorTerm[], labels: Labels, name: string): boolean {
  return terms.some(({ matchExpressions, matchFields }) => {
    const expressions = matchExpressions ?? [];
    const fields = matchFields ?? [];
    if (expressions.length === 0 && fields.length === 0) return false;
    return expressions.every((e) => matches(e, labels)) && selectsLabels({ matchExpressions: fields }, { 'metadata.name': name });
  });
}

function matches(requirement: LabelRequirement, labels: Labels): boolean {
  const { key, operator, values } = requirement;
  if (operator !== 'Gt' && operator !== 'Lt') return selectsLabels({ matchExpressions: [requirement] }, labels);
  const value = Object.hasOwn(labels, key) ? labels[key]! : '';
  const bound = values?.length === 1 ? values[0]! : '';
  if (!/^[+-]?\d+$/.test(value) || !/^[+-]?\d+$/.test(bound)) return false;
  return operator === 'Gt' ? Number(value) > Number(bound) : Number(value) < Number(bound);
}
