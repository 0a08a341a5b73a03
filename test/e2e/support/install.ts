// Puts an installation into a fresh control plane: resource definitions, namespaces, roles, priority classes, identities.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadAll } from 'js-yaml';
import type { ControlPlane } from '../../control-plane/controlPlane.ts';
import { ApiClient, ApiError, type KubeObject } from './apiClient.ts';

const DEPLOY_FOLDER = resolve(import.meta.dirname, '../../../deploy');
const POLL_MS = 25;

export const KAI_NAMESPACE = 'kai-scheduler';
export const RESERVATION_NAMESPACE = 'kai-resource-reservation';
const SCHEDULER_ACCOUNT = 'kai-scheduler';

/** Collections of the kinds that tests and manifests use, after the API version; `*` = the namespace comes before. */
const COLLECTIONS: Readonly<Record<string, string>> = {
  Namespace: 'namespaces',
  Node: 'nodes',
  Pod: '*pods',
  ConfigMap: '*configmaps',
  Event: '*events',
  ServiceAccount: '*serviceaccounts',
  PersistentVolume: 'persistentvolumes',
  PersistentVolumeClaim: '*persistentvolumeclaims',
  StorageClass: 'storageclasses',
  PriorityClass: 'priorityclasses',
  Lease: '*leases',
  ClusterRole: 'clusterroles',
  ClusterRoleBinding: 'clusterrolebindings',
  Role: '*roles',
  RoleBinding: '*rolebindings',
  CustomResourceDefinition: 'customresourcedefinitions',
  DeviceClass: 'deviceclasses',
  ResourceSlice: 'resourceslices',
  ResourceClaim: '*resourceclaims',
  ResourceClaimTemplate: '*resourceclaimtemplates',
  Queue: 'queues',
  PodGroup: '*podgroups',
  BindRequest: '*bindrequests',
  Topology: 'topologies',
  SchedulingShard: 'schedulingshards',
  Config: 'configs',
};

/** URL path of the collection that an object belongs to. Throws for kinds that it does not know. */
function collectionPath(apiVersion: string, kind: string, namespace = 'default'): string {
  const collection = COLLECTIONS[kind];
  if (collection === undefined) throw new Error(`no collection known for kind ${kind}`);
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return collection.startsWith('*') ? `${root}/namespaces/${namespace}/${collection.slice(1)}` : `${root}/${collection}`;
}

type Manifest = Required<Pick<KubeObject, 'apiVersion' | 'kind'>> & KubeObject;

function asManifest(object: object): Manifest {
  const { apiVersion, kind, metadata } = object as Partial<Manifest>;
  if (apiVersion === undefined || kind === undefined || metadata === undefined) throw new Error(`not an object: ${JSON.stringify(object)}`);
  return object as Manifest;
}

/** Creates an object at the place that its kind and namespace name; waits out a busy or starting server. */
export function createObject<T = KubeObject>(client: ApiClient, object: object): Promise<T> {
  const { apiVersion, kind, metadata } = asManifest(object);
  return client.retry(() => client.create<T>(collectionPath(apiVersion, kind, metadata.namespace), object));
}

/** Creates many objects, `concurrency` at a time, and returns them in the order given. */
export async function createObjects<T = KubeObject>(client: ApiClient, objects: readonly object[], concurrency = 50): Promise<T[]> {
  const created: T[] = new Array<T>(objects.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < objects.length) {
      const index = next++;
      created[index] = await createObject<T>(client, objects[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, objects.length) }, worker));
  return created;
}

function readManifests(file: string): Manifest[] {
  const documents: unknown[] = [];
  loadAll(readFileSync(file, 'utf8'), (document) => documents.push(document));
  return documents.flatMap((document) => (document === null || document === undefined ? [] : [asManifest(document)]));
}

/** Server-side applies all objects of the files of a folder of `deploy`. */
async function applyFolder(client: ApiClient, folder: string): Promise<Manifest[]> {
  const path = join(DEPLOY_FOLDER, folder);
  const files = readdirSync(path).filter((name) => name.endsWith('.yaml'));
  const manifests = files.sort().flatMap((name) => readManifests(join(path, name)));
  for (const manifest of manifests) {
    const { apiVersion, kind, metadata } = manifest;
    await client.retry(() => client.apply(`${collectionPath(apiVersion, kind, metadata.namespace)}/${metadata.name}`, manifest));
  }
  return manifests;
}

interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[] };
}

/**
 * Installs the resource definitions and waits until the API server serves each of them. It holds every creation of a kind that is
 * younger than two seconds for two seconds, on purpose.
 */
async function installDefinitions(client: ApiClient): Promise<void> {
  const manifests = await applyFolder(client, 'crds');
  for (const { metadata } of manifests) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${metadata.name}`;
    for (;;) {
      const { spec, status } = await client.get<Definition>(path);
      const conditions = status?.conditions ?? [];
      const refused = conditions.find(({ type, status: is }) => type === 'NonStructuralSchema' && is === 'True');
      if (refused !== undefined) throw new Error(`${metadata.name}: ${refused.message}`);
      if (conditions.some(({ type, status: is }) => type === 'Established' && is === 'True')) {
        // A new resource answers 404, then 429, for some hundred milliseconds more.
        const list = (): Promise<unknown> => client.get(`/apis/${spec.group}/${spec.versions[0]!.name}/${spec.names.plural}?limit=1`);
        await waitFor(`${metadata.name} to be served`, () => list().then(Boolean, () => false));
        break;
      }
      await sleep(POLL_MS);
    }
  }
}

/** Polls until the test holds; throws after the time is over. */
export async function waitFor(what: string, test: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await test())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await sleep(POLL_MS);
  }
}

/** A namespace in which pods can be created at once: they need its service account `default`, which else a controller makes later. */
export async function createNamespace(client: ApiClient, name: string): Promise<void> {
  await createObject(client, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  try {
    await createObject(client, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } });
  } catch (error) {
    // The controller was faster.
    if (!(error instanceof ApiError && error.status === 409)) throw error;
  }
}

/** The four classes of an installation (spec 08 section 1.5). */
const PRIORITY_CLASSES: Readonly<Record<string, number>> = { train: 50, 'build-preemptible': 75, build: 100, inference: 125 };

export interface Installation {
  /** The administrator's client. */
  readonly client: ApiClient;
  /** Token of the scheduler's service account, subject to the roles of `deploy/rbac`. */
  readonly schedulerToken: string;
}

/** Installs everything but the components themselves: they are processes of the test. */
export async function install(plane: ControlPlane): Promise<Installation> {
  const client = adminClient(plane);
  await installDefinitions(client);
  for (const name of [KAI_NAMESPACE, RESERVATION_NAMESPACE]) await createNamespace(client, name);
  await applyFolder(client, 'rbac');
  for (const [name, value] of Object.entries(PRIORITY_CLASSES)) {
    await createObject(client, { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, value });
  }
  const schedulerToken = await serviceAccountToken(client, KAI_NAMESPACE, SCHEDULER_ACCOUNT);
  const scheduler = new ApiClient({ url: plane.url, ca: plane.ca, token: schedulerToken });
  // A new binding counts some hundred milliseconds later.
  await waitFor('the roles of the scheduler', () => scheduler.get('/api/v1/nodes?limit=1').then(Boolean, forbidden), 10_000);
  await scheduler.close();
  return { client, schedulerToken };
}

function forbidden(error: unknown): boolean {
  if (error instanceof ApiError && error.status === 403) return false;
  throw error;
}

export function adminClient(plane: ControlPlane): ApiClient {
  return new ApiClient({ url: plane.url, ca: plane.ca, token: plane.adminToken });
}

/** A real token of a service account, as pods get it; the server refuses less than 600 s. */
export async function serviceAccountToken(client: ApiClient, namespace: string, name: string, seconds = 86_400): Promise<string> {
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: seconds } };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const { status } = await client.create<{ readonly status: { readonly token: string } }>(path, request);
  return status.token;
}
