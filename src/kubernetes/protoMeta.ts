// meta/v1 in protobuf. Numbers in `case` are tags: field number × 8 + wire type; they never change.
import type { LabelRequirement, LabelSelector } from '../base/constraints.ts';
import { IGNORED_ANNOTATION, type ObservedMetadata } from './observedObjects.ts';
import { append, appendText, presentText, readEntry, type Wire } from './wire.ts';

export function readMetadata(wire: Wire): ObservedMetadata {
  const end = wire.enter();
  let name = '';
  let namespace = '';
  let uid = '';
  let resourceVersion = '';
  let created: string | undefined;
  let deleted: string | undefined;
  let labels: Record<string, string> | undefined;
  let annotations: Record<string, string> | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    switch (tag) {
      case 10: // 1 name
        name = wire.string();
        break;
      case 26: // 3 namespace
        namespace = wire.text();
        break;
      case 42: // 5 uid
        uid = wire.string();
        break;
      case 50: // 6 resourceVersion
        resourceVersion = wire.string();
        break;
      case 66: // 8 creationTimestamp
        created = readTime(wire);
        break;
      case 74: // 9 deletionTimestamp
        deleted = readTime(wire);
        break;
      case 90: // 11 labels
        labels = readEntry(wire, labels);
        break;
      case 98: // 12 annotations
        annotations = readEntry(wire, annotations);
        break;
      default:
        wire.skipType(tag & 7);
    }
  }
  wire.leave(end);
  return {
    name,
    namespace: presentText(namespace),
    uid,
    resourceVersion,
    creationTimestamp: created,
    deletionTimestamp: deleted,
    labels,
    annotations: withoutIgnored(annotations),
  };
}

function withoutIgnored(annotations: Record<string, string> | undefined): Record<string, string> | undefined {
  if (annotations?.[IGNORED_ANNOTATION] === undefined) return annotations;
  delete annotations[IGNORED_ANNOTATION];
  for (const _ in annotations) return annotations;
  return undefined;
}

/** Seconds as RFC 3339, as JSON has them; an empty message is no time. */
function readTime(wire: Wire): string | undefined {
  const end = wire.enter();
  let seconds = Number.NaN;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 8) seconds = wire.integer();
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return seconds < 253_402_300_800 ? `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z` : undefined;
}

export function readSelector(wire: Wire): LabelSelector {
  const end = wire.enter();
  let matchLabels: Record<string, string> | undefined;
  let matchExpressions: LabelRequirement[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) matchLabels = readEntry(wire, matchLabels);
    else if (tag === 18) matchExpressions = append(matchExpressions, readRequirement(wire));
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { matchLabels, matchExpressions };
}

/** Label and node selector requirements have the same fields. */
export function readRequirement(wire: Wire): LabelRequirement {
  const end = wire.enter();
  let key = '';
  let operator = '';
  let values: string[] | undefined;
  while (wire.pos < end) {
    const tag = wire.uint32();
    if (tag === 10) key = wire.text();
    else if (tag === 18) operator = wire.text();
    else if (tag === 26) values = appendText(wire, values);
    else wire.skipType(tag & 7);
  }
  wire.leave(end);
  return { key, operator, values };
}
