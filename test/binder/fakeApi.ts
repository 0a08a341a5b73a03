// An API server in memory: objects by path, the few verbs and preconditions that a binder relies on, a watch, and faults on demand.
import type { LIST_NAMES } from '../../src/base/objects.ts';
import type { ObservedCluster } from '../../src/binder/port.ts';
import { NoAnswerError } from '../../src/kubernetes/apiError.ts';
import type { ApiRequest, ApiResponse } from '../../src/kubernetes/connection.ts';
import type { VirtualClock } from './virtualClock.ts';

type ListName = (typeof LIST_NAMES)[number];
export type Json = { [field: string]: unknown };
export interface ApiObject {
  metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    creationTimestamp: string;
    deletionTimestamp?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    finalizers?: string[];
    ownerReferences?: { kind: string; uid: string; name: string; controller?: boolean }[];
  };
  [field: string]: unknown;
}

/** none; an error status; the request or its answer is lost. */
export type Fault = 'none' | number | 'lostBefore' | 'lostAfter';

const LISTS: Readonly<Record<string, ListName>> = { pods: 'pods', bindrequests: 'bindRequests', nodes: 'nodes' };
const STATUS_KINDS = new Set(['pods', 'resourceclaims', 'bindrequests']);

export class FakeApi {
  readonly objects = new Map<string, ApiObject>();
  readonly requests: string[] = [];
  /** Decides the fate of each request. */
  fault: (request: ApiRequest) => Fault = () => 'none';
  latencyMs: () => number = () => 0;
  /** Called after each change with the path of the object (undefined = gone). */
  onChange: (path: string, object: ApiObject | undefined, before: ApiObject | undefined) => void = () => undefined;
  readonly #clock: VirtualClock;
  readonly #listeners = new Set<(list: ListName, key: string, object: unknown) => void>();
  #version = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** What a watch without lag shows. */
  readonly observed: ObservedCluster = {
    get: (list, key) => [...this.#ofList(list)].find(([k]) => k === key)?.[1],
    keys: (list) => [...this.#ofList(list)].map(([key]) => key).values(),
    podsOnNode: (node) => [...this.#ofList('pods')].filter(([, pod]) => nodeNameOf(pod) === node).map(([key]) => key),
    onChange: (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    },
  };

  async request(request: ApiRequest): Promise<ApiResponse> {
    await this.#clock.sleep(this.latencyMs());
    const fault = this.fault(request);
    this.requests.push(`${request.method} ${request.path}`);
    if (fault === 'lostBefore') throw new NoAnswerError('API_UNREACHABLE', 'lost', true);
    const answer = typeof fault === 'number' ? statusAnswer(fault, 'Fault', 'injected') : this.#serve(request);
    await this.#clock.sleep(this.latencyMs());
    if (fault === 'lostAfter') throw new NoAnswerError('API_UNREACHABLE', 'lost', true);
    return answer;
  }

  get<T = ApiObject>(path: string): T | undefined {
    return this.objects.get(path) as T | undefined;
  }

  /** Creates or replaces an object, as somebody else would. */
  put(folder: string, object: Json & { metadata: Json & { name: string } }): ApiObject {
    return this.#store(`${folder}/${object.metadata.name}`, this.#fresh(object));
  }

  /** A merge patch by somebody else; nothing happens to an object that is not there. */
  merge(path: string, patch: Json): void {
    const before = this.objects.get(path);
    if (before !== undefined) this.#store(path, merged(before, patch) as ApiObject, before);
  }

  remove(path: string): void {
    const before = this.objects.get(path);
    if (before === undefined) return;
    this.objects.delete(path);
    this.#tell(path, undefined, before);
  }

  /** Objects directly in a folder, or in that of any namespace. */
  list(folder: string): ApiObject[] {
    const [, root, plural] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/[^/]+)?\/(\w+)$/.exec(folder) ?? [];
    const isNamed = folder.includes('/namespaces/');
    return [...this.objects]
      .filter(([path]) => {
        const parent = path.slice(0, path.lastIndexOf('/'));
        return parent === folder || (!isNamed && parent.startsWith(`${root}/namespaces/`) && parent.endsWith(`/${plural}`));
      })
      .map(([, object]) => object);
  }

  #serve(request: ApiRequest): ApiResponse {
    const { method, path, query, body } = request;
    if (method === 'GET') {
      const object = this.objects.get(path);
      if (object !== undefined) return answer(200, object);
      if (/\/(pods|configmaps|persistentvolumes|persistentvolumeclaims|bindrequests|resourceclaims|nodes|storageclasses)$/.test(path)) {
        return answer(200, {
          items: this.list(path).filter((o) => isSelected(o, query?.labelSelector, query?.fieldSelector)),
          metadata: {},
        });
      }
      return statusAnswer(404, 'NotFound', `${path} not found`);
    }
    const json = (typeof body === 'string' ? JSON.parse(body) : structuredClone(body ?? {})) as Json;
    if (method === 'POST')
      return path.endsWith('/binding') ? this.#bind(path.slice(0, -'/binding'.length), json) : this.#create(path, json);
    const sub = path.endsWith('/status') ? '/status' : '';
    const target = path.slice(0, path.length - sub.length);
    const before = this.objects.get(target);
    if (before === undefined) return statusAnswer(404, 'NotFound', `${target} not found`);
    if (method === 'DELETE') return this.#delete(target, before, json);
    const next = method === 'PUT' ? { ...json, metadata: { ...before.metadata, ...(json.metadata as object) } } : merged(before, json);
    return this.#update(target, before, next as ApiObject, json, sub);
  }

  #create(folder: string, json: Json): ApiResponse {
    const { name } = json.metadata as { name: string };
    const path = `${folder}/${name}`;
    if (this.objects.has(path)) return statusAnswer(409, 'AlreadyExists', `${path} already exists`);
    return answer(201, this.#store(path, this.#fresh(json)));
  }

  #update(path: string, before: ApiObject, next: ApiObject, json: Json, sub: string): ApiResponse {
    const { uid, resourceVersion } = (json.metadata ?? {}) as { uid?: string; resourceVersion?: string };
    if (uid !== undefined && uid !== before.metadata.uid) return statusAnswer(409, 'Conflict', 'the UID in the precondition differs');
    if (resourceVersion !== undefined && resourceVersion !== before.metadata.resourceVersion) {
      return statusAnswer(409, 'Conflict', 'the object has been modified');
    }
    // Status and the rest are written apart, as the real server does for kinds with a status subresource.
    const kind = path.split('/').at(-2)!;
    if (sub !== '') next = { ...before, status: next.status, metadata: before.metadata };
    else if (STATUS_KINDS.has(kind)) next = { ...next, status: before.status };
    if (before.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      this.remove(path);
      return answer(200, next);
    }
    return answer(200, this.#store(path, next, before));
  }

  #delete(path: string, before: ApiObject, json: Json): ApiResponse {
    const wanted = (json.preconditions as { uid?: string } | undefined)?.uid;
    if (wanted !== undefined && wanted !== before.metadata.uid) return statusAnswer(409, 'Conflict', 'the UID in the precondition differs');
    if ((before.metadata.finalizers ?? []).length > 0) {
      const metadata = { ...before.metadata, deletionTimestamp: new Date(this.#clock.nowMs()).toISOString() };
      return answer(200, this.#store(path, { ...before, metadata }, before));
    }
    this.remove(path);
    return answer(200, {});
  }

  #bind(path: string, json: Json): ApiResponse {
    const pod = this.objects.get(path);
    if (pod === undefined) return statusAnswer(404, 'NotFound', `${path} not found`);
    const { uid, annotations = {} } = json.metadata as { uid?: string; annotations?: Record<string, string> };
    if (uid !== undefined && uid !== pod.metadata.uid) return statusAnswer(409, 'Conflict', 'the UID in the precondition differs');
    if (nodeNameOf(pod) !== '') return statusAnswer(409, 'Conflict', `pod is already assigned to node ${nodeNameOf(pod)}`);
    const metadata = { ...pod.metadata, annotations: { ...pod.metadata.annotations, ...annotations } };
    this.#store(path, { ...pod, metadata, spec: { ...(pod.spec as object), nodeName: (json.target as { name: string }).name } }, pod);
    return answer(201, { kind: 'Status', status: 'Success' });
  }

  #fresh(json: Json): ApiObject {
    const given = json.metadata as Json & { name: string };
    const uid = (given.uid as string | undefined) ?? `uid-${++this.#version}`;
    const creationTimestamp = new Date(this.#clock.nowMs()).toISOString();
    return {
      apiVersion: 'v1',
      kind: 'Object',
      ...structuredClone(json),
      metadata: { creationTimestamp, resourceVersion: '', ...given, uid },
    } as ApiObject;
  }

  #store(path: string, object: ApiObject, before?: ApiObject): ApiObject {
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(++this.#version);
    this.objects.set(path, stored);
    this.#tell(path, stored, before);
    return stored;
  }

  #tell(path: string, object: ApiObject | undefined, before: ApiObject | undefined): void {
    this.onChange(path, object, before);
    const list = LISTS[path.split('/').at(-2)!];
    const seen = object ?? before!;
    if (list === undefined) return;
    for (const listener of this.#listeners) listener(list, keyOf(seen), object);
  }

  *#ofList(list: ListName): Generator<[string, ApiObject]> {
    for (const [path, object] of this.objects) if (LISTS[path.split('/').at(-2)!] === list) yield [keyOf(object), object];
  }
}

function keyOf({ metadata }: ApiObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

function nodeNameOf(pod: ApiObject): string {
  return (pod.spec as { nodeName?: string } | undefined)?.nodeName ?? '';
}

function isSelected(object: ApiObject, labelSelector: unknown, fieldSelector: unknown): boolean {
  if (typeof labelSelector === 'string') {
    const [key, value] = labelSelector.split('=');
    const has = object.metadata.labels?.[key!];
    if (has === undefined || (value !== undefined && has !== value)) return false;
  }
  if (typeof fieldSelector !== 'string') return true;
  const [field, value] = fieldSelector.split('=');
  if (field !== 'spec.nodeName') throw new Error(`unknown field selector ${fieldSelector}`);
  return nodeNameOf(object) === value;
}

function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Json = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...(target as Json) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = merged(result[key], value);
  }
  return result;
}

function answer(status: number, body: unknown): ApiResponse {
  return { status, headers: {}, body: Buffer.from(JSON.stringify(body)) };
}

function statusAnswer(code: number, reason: string, message: string): ApiResponse {
  return answer(code, { kind: 'Status', status: 'Failure', code, reason, message });
}
