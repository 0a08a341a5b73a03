// What the API server serves and allows, found out once at start, with errors that say what to do.
import { KaiError } from '../base/errors.ts';
import { LIST_NAMES, type ListName } from '../base/objects.ts';
import { ApiStatusError, NoAnswerError, parseApiStatus } from './apiError.ts';
import { jsonOf, type KubeConnection } from './connection.ts';
import { groupVersionPath, type ResourceSpec, resourceName, resourceOf } from './resources.ts';

export interface ServedList {
  readonly spec: ResourceSpec;
  /** The best version that both sides know. */
  readonly version: string;
  /** "/apis/scheduling.run.ai/v2/queues": all namespaces. */
  readonly path: string;
}

export interface Discovery {
  /** "v1.37.2" */
  readonly serverVersion: string;
  readonly major: number;
  readonly minor: number;
  readonly lists: ReadonlyMap<ListName, ServedList>;
  /** Required lists that are not served: one sentence each, what is missing and what to do. */
  readonly missing: readonly string[];
  /** Of the late groups: lists whose API group is there, but did not answer. Not known yet whether they are served. */
  readonly unanswered: readonly ListName[];
  /** `resource.k8s.io` can be used (spec 03 section 11.1: from Kubernetes 1.26, all three resources). */
  readonly isDraServed: boolean;
  readonly isNodeTopologyServed: boolean;
}

/** Permission as RBAC rules have it; `subresource` such as "binding", `namespace` absent = all. */
export interface Permission {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
}

const DRA_LISTS = ['resourceClaims', 'resourceSlices', 'deviceClasses'] as const;
/**
 * What the scheduler can begin without, while an answer about it is missing: pods that need none of it can be placed. A group counts
 * as a whole: with half of it a device that a claim has would seem free.
 */
export const LATE_GROUPS: readonly (readonly ListName[])[] = [DRA_LISTS, ['nodeResourceTopologies']];
const MAY_BE_LATE: readonly ListName[] = LATE_GROUPS.flat();
const MIN_DRA_MINOR = 26;
const CHECKS_AT_ONCE = 16;

/** Asks for versions, groups and resources. Throws ApiStatusError or NoAnswerError when it gets no answer to what is required. */
export async function discover(connection: KubeConnection): Promise<Discovery> {
  const [version, groups] = await Promise.all([getJson(connection, '/version'), servedGroups(connection)]);
  const specs = LIST_NAMES.map(resourceOf);
  const wanted = new Map<string, { readonly group: string; readonly version: string }>();
  for (const { group, versions } of specs) {
    for (const version of versions) if (groups.get(group)?.includes(version)) wanted.set(`${group}/${version}`, { group, version });
  }
  const served = new Map<string, ReadonlySet<string>>();
  const silent = new Map<string, KaiError>();
  await Promise.all(
    [...wanted].map(async ([key, { group, version }]) => {
      try {
        served.set(key, await servedResources(connection, groupVersionPath(group, version)));
      } catch (error) {
        if (!isPassing(error)) throw error;
        silent.set(key, error);
      }
    }),
  );
  const lists = new Map<ListName, ServedList>();
  const missing: string[] = [];
  const unanswered: ListName[] = [];
  for (const spec of specs) {
    const version = spec.versions.find((v) => served.get(`${spec.group}/${v}`)?.has(spec.plural));
    const failure = spec.versions.map((v) => silent.get(`${spec.group}/${v}`)).find((error) => error !== undefined);
    if (version !== undefined) lists.set(spec.list, { spec, version, path: `${groupVersionPath(spec.group, version)}/${spec.plural}` });
    else if (failure !== undefined && !MAY_BE_LATE.includes(spec.list)) throw failure;
    else if (failure !== undefined) unanswered.push(spec.list);
    else if (spec.isRequired) missing.push(describeMissing(spec, groups.get(spec.group) ?? [], served));
  }
  const major = Number.parseInt(textOf(version, 'major'), 10) || 0;
  const minor = Number.parseInt(textOf(version, 'minor'), 10) || 0;
  const isDraKnown = major > 1 || minor >= MIN_DRA_MINOR;
  const isDraServed = isDraKnown && DRA_LISTS.every((list) => lists.has(list));
  if (!isDraServed) for (const list of DRA_LISTS) lists.delete(list);
  return {
    serverVersion: textOf(version, 'gitVersion') || 'unknown',
    major,
    minor,
    lists,
    missing,
    unanswered: isDraKnown ? unanswered : unanswered.filter((list) => list === 'nodeResourceTopologies'),
    isDraServed,
    isNodeTopologyServed: lists.has('nodeResourceTopologies'),
  };
}

/** Throws KaiError API_MISSING that names every required resource that is not served. */
export function requireServed({ missing, serverVersion }: Discovery): void {
  if (missing.length > 0)
    throw new KaiError('API_MISSING', `the API server (${serverVersion}) lacks what is needed: ${missing.join('; ')}`);
}

/** What reading the served lists takes; `only`: those of them that are read. */
export function watchPermissions({ lists }: Discovery, only?: readonly ListName[]): Permission[] {
  return [...lists.values()]
    .filter(({ spec }) => only?.includes(spec.list) ?? true)
    .flatMap(({ spec: { group, plural } }) => ['list', 'watch'].map((verb) => ({ verb, group, resource: plural })));
}

/** Those of `wanted` that the present user does not have, by SelfSubjectAccessReview. Throws ApiStatusError when that is refused. */
export async function missingPermissions(connection: KubeConnection, wanted: readonly Permission[]): Promise<Permission[]> {
  const isAllowed: boolean[] = [];
  let next = 0;
  const check = async (): Promise<void> => {
    while (next < wanted.length) {
      const i = next++;
      isAllowed[i] = await isPermitted(connection, wanted[i]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(CHECKS_AT_ONCE, wanted.length) }, check));
  return wanted.filter((_, i) => isAllowed[i] !== true);
}

/** Throws KaiError FORBIDDEN that names each missing verb and resource. */
export async function requirePermissions(connection: KubeConnection, wanted: readonly Permission[]): Promise<void> {
  const missing = await missingPermissions(connection, wanted);
  if (missing.length === 0) return;
  throw new KaiError(
    'FORBIDDEN',
    `the service account may not: ${missing.map(describePermission).join('; ')}. Grant it by a ClusterRole (chart: rbac).`,
  );
}

/** "create pods/binding", "list queues.scheduling.run.ai", "update leases.coordination.k8s.io in namespace kai-scheduler". */
export function describePermission({ verb, group, resource, subresource, namespace }: Permission): string {
  const name = resourceName(resource, group) + (subresource === undefined ? '' : `/${subresource}`);
  return `${verb} ${name}${namespace === undefined ? '' : ` in namespace ${namespace}`}`;
}

async function isPermitted(connection: KubeConnection, permission: Permission): Promise<boolean> {
  const { verb, group, resource, subresource, namespace } = permission;
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const response = await connection.request({
    method: 'POST',
    path,
    lane: 'read',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb, group, resource, subresource, namespace } },
    },
  });
  if (response.status !== 201 && response.status !== 200) {
    throw new ApiStatusError(
      `checking whether the service account may ${describePermission(permission)}`,
      parseApiStatus(response.status, response.headers, response.body),
    );
  }
  return recordOf(recordOf(jsonOf(response)).status).allowed === true;
}

/** Served versions by group, the core group too. */
async function servedGroups(connection: KubeConnection): Promise<ReadonlyMap<string, readonly string[]>> {
  const groups = new Map<string, readonly string[]>([['', ['v1']]]);
  for (const group of listOf(await getJson(connection, '/apis'), 'groups')) {
    groups.set(
      textOf(group, 'name'),
      listOf(group, 'versions').map((v) => textOf(v, 'version')),
    );
  }
  return groups;
}

/** Plural names. Throws ApiStatusError or NoAnswerError when the group is listed but not answered for. */
async function servedResources(connection: KubeConnection, path: string): Promise<ReadonlySet<string>> {
  const response = await connection.request({ method: 'GET', path });
  if (response.status === 404) return new Set();
  if (response.status !== 200) throw new ApiStatusError(`GET ${path}`, parseApiStatus(response.status, response.headers, response.body));
  return new Set(listOf(jsonOf(response), 'resources').map((resource) => textOf(resource, 'name')));
}

/** The same request may be answered later. */
function isPassing(error: unknown): error is KaiError {
  if (error instanceof ApiStatusError) return error.status.code >= 500 || error.status.code === 429;
  return error instanceof NoAnswerError;
}

function describeMissing(spec: ResourceSpec, versions: readonly string[], served: ReadonlyMap<string, ReadonlySet<string>>): string {
  const name = resourceName(spec.plural, spec.group);
  const need = spec.versions.join(' or ');
  const isCustom = spec.group.endsWith('run.ai') || spec.group === 'kai.scheduler';
  const advice = isCustom ? `install the CRD ${name}` : 'use a newer API server';
  if (versions.length === 0 || spec.versions.some((v) => served.has(`${spec.group}/${v}`))) {
    return `${spec.kind} (${name}, version ${need}) is not served: ${advice}`;
  }
  return `${spec.kind} (${name}) is needed in version ${need}, the group is served in ${versions.join(', ')}: ${isCustom ? `update the CRD ${name}` : advice}`;
}

async function getJson(connection: KubeConnection, path: string): Promise<unknown> {
  const response = await connection.request({ method: 'GET', path });
  if (response.status !== 200) throw new ApiStatusError(`GET ${path}`, parseApiStatus(response.status, response.headers, response.body));
  return jsonOf(response);
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOf(value: unknown, field: string): string {
  const text = recordOf(value)[field];
  return typeof text === 'string' ? text : '';
}

function listOf(value: unknown, field: string): readonly unknown[] {
  const list = recordOf(value)[field];
  return Array.isArray(list) ? list : [];
}
