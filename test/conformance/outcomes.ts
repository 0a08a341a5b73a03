// What became of each pod in a cycle, from the objects before it and its decisions alone.
import type { Decision } from '../../src/base/decisions.ts';
import type { BindRequest, ClusterObjects, Pod } from '../../src/base/objects.ts';
import type { Outcome } from './caseFormat.ts';

const GROUP_LABEL = 'runai-gpu-group';
const GROUP_PREFIX = 'runai-gpu-group/';

/** A pod occupies (`held`), still occupies but leaves (`leaving`), or is promised (`promised`) its place. */
export type Role = 'held' | 'leaving' | 'promised';

export interface Place {
  readonly node: string;
  readonly role: Role;
  readonly gpuGroups: readonly string[];
  /** NUMA placement record, absent when none is known. */
  readonly zones?: readonly ZoneAmounts[];
}

export interface ZoneAmounts {
  readonly zone: string;
  readonly amount: Readonly<Record<string, string | number>>;
}

export interface PodResult {
  readonly key: string;
  readonly pod: Pod;
  /** "namespace/podGroup", absent for a pod without one. */
  readonly job: string | undefined;
  readonly outcome: Outcome;
  /** All its places after the cycle; a moved pod has two, the new one last. */
  readonly places: readonly Place[];
}

export interface CycleInput {
  readonly objects: ClusterObjects;
  readonly decisions: readonly Decision[];
  readonly nowMs: number;
  readonly stuckInReleasingThresholdMs: number;
}

function keyOf(o: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  return `${o.metadata.namespace ?? ''}/${o.metadata.name}`;
}

/** Bind requests that hold a place (spec 03 section 2.5), by pod key. */
function liveRequests(objects: ClusterObjects): Map<string, BindRequest> {
  const nodes = new Set(objects.nodes.map((n) => n.metadata.name));
  const uids = new Map(objects.pods.map((p) => [keyOf(p), p.metadata.uid]));
  const live = new Map<string, BindRequest>();
  for (const request of objects.bindRequests) {
    const { backoffLimit, podName = '', selectedNode = '' } = request.spec ?? {};
    const { phase, failedAttempts = 0 } = request.status ?? {};
    const isFailed = phase === 'Failed' && (backoffLimit === undefined || backoffLimit === null || failedAttempts >= backoffLimit);
    const key = `${request.metadata.namespace ?? ''}/${podName}`;
    const owners = request.metadata.ownerReferences ?? [];
    const isForeign = owners.length > 0 && owners.every((o) => o.uid !== uids.get(key));
    if (!isFailed && !isForeign && nodes.has(selectedNode)) live.set(key, request);
  }
  return live;
}

function labelledGroups(pod: Pod): string[] {
  const labels = pod.metadata.labels ?? {};
  const more = Object.keys(labels)
    .filter((k) => k.startsWith(GROUP_PREFIX))
    .sort()
    .map((k) => labels[k] ?? '');
  const first = labels[GROUP_LABEL];
  return [...new Set(first === undefined ? more : [first, ...more])];
}

function zonesOf(value: unknown): readonly ZoneAmounts[] | undefined {
  let parsed = value;
  if (typeof value === 'string') {
    try {
      parsed = JSON.parse(value);
    } catch {
      return undefined;
    }
  }
  return Array.isArray(parsed) && parsed.length > 0 ? (parsed as ZoneAmounts[]) : undefined;
}

function recordedZones(pod: Pod, request: BindRequest | undefined): readonly ZoneAmounts[] | undefined {
  const annotations = pod.metadata.annotations ?? {};
  return (
    zonesOf(annotations['kai.scheduler/numa-placement-observed']) ??
    zonesOf(request?.spec?.predictedNUMAZones) ??
    zonesOf(annotations['kai.scheduler/numa-placement-predicted'])
  );
}

/** Outcome and place before any decision (spec 03 section 2.4). */
function before(pod: Pod, request: BindRequest | undefined, input: CycleInput): { outcome: Outcome; place?: Place } {
  const phase = pod.status?.phase ?? 'Pending';
  if (phase === 'Succeeded' || phase === 'Failed') return { outcome: 'finished' };
  const node = pod.spec.nodeName || request?.spec?.selectedNode;
  const requested = request?.spec?.selectedGPUGroups ?? [];
  const gpuGroups = requested.length > 0 ? requested : labelledGroups(pod);
  const zones = recordedZones(pod, request);
  const place = (role: Role): Place | undefined => (node === undefined ? undefined : { node, role, gpuGroups, zones });
  const deletion = pod.metadata.deletionTimestamp;
  if (deletion !== undefined && deletion !== null) {
    const isStuck = phase === 'Running' && input.nowMs - Date.parse(deletion) > input.stuckInReleasingThresholdMs;
    return { outcome: 'releasing', place: place(isStuck ? 'held' : 'leaving') };
  }
  return node === undefined ? { outcome: 'pending' } : { outcome: 'running', place: place('held') };
}

function applyDecision(state: { outcome: Outcome; place?: Place; promised?: Place }, decision: Decision): void {
  const zones = zonesOf(decision.details?.predictedNUMAZones);
  const place: Place = { node: decision.node, role: 'held', gpuGroups: decision.gpuGroups, zones };
  if (decision.kind === 'bind') {
    state.outcome = 'bound';
    state.place = place;
  } else if (decision.kind === 'pipeline') {
    state.promised = { ...place, role: 'promised' };
    state.outcome = state.outcome === 'evicted' ? 'moved' : 'pipelined';
  } else if (state.place === undefined) {
    state.promised = undefined;
    state.outcome = 'pending';
  } else {
    state.place = { ...state.place, role: 'leaving' };
    state.outcome = state.promised === undefined ? 'evicted' : 'moved';
  }
}

/** Every pod with its outcome; `bound` and then taken back in the same cycle is `evicted` or `moved`. */
export function podResults(input: CycleInput): Map<string, PodResult> {
  const requests = liveRequests(input.objects);
  const decisions = Map.groupBy(input.decisions, (d) => d.pod);
  const results = new Map<string, PodResult>();
  for (const pod of input.objects.pods) {
    const key = keyOf(pod);
    const state: { outcome: Outcome; place?: Place; promised?: Place } = before(pod, requests.get(key), input);
    for (const decision of decisions.get(key) ?? []) applyDecision(state, decision);
    const group = pod.metadata.annotations?.['pod-group-name'];
    const job = group === undefined ? undefined : `${pod.metadata.namespace ?? ''}/${group}`;
    const places = [state.place, state.promised].filter((p) => p !== undefined);
    results.set(key, { key, pod, job, outcome: state.outcome, places });
  }
  return results;
}
