// Which object an event is about, and the form of times in what is written.
import type { Pod, PodGroup } from '../base/objects.ts';
import type { EventObject } from '../kubernetes/events.ts';

export function podObject({ metadata }: Pod): EventObject {
  return { apiVersion: 'v1', kind: 'Pod', namespace: metadata.namespace ?? 'default', name: metadata.name, uid: metadata.uid ?? '' };
}

export function groupObject({ metadata }: PodGroup): EventObject {
  const apiVersion = 'scheduling.run.ai/v2alpha2';
  return { apiVersion, kind: 'PodGroup', namespace: metadata.namespace ?? 'default', name: metadata.name, uid: metadata.uid ?? '' };
}

/** RFC 3339 in UTC with whole seconds. */
export function wholeSeconds(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19)}Z`;
}
