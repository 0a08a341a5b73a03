// What the role needs of the API server before it can begin.
import { KaiError } from '../base/errors.ts';
import type { ListName } from '../base/objects.ts';
import { ApiStatusError, NoAnswerError } from '../kubernetes/apiError.ts';
import { backoffMs, type Clock } from '../kubernetes/clock.ts';
import type { KubeConnection } from '../kubernetes/connection.ts';
import {
  type Discovery,
  describePermission,
  discover,
  missingPermissions,
  type Permission,
  requireServed,
  watchPermissions,
} from '../kubernetes/discovery.ts';

const BACKOFF = { firstMs: 500, maxMs: 5_000 };
/** For what is not needed to begin. */
const LATE_BACKOFF = { firstMs: 1_000, maxMs: 30_000 };
/** Definitions and roles that were just installed count some moments later; after this time they are missing. */
const MISSING_MS = 30_000;
/** The same for what the role can do without. */
const OPTIONAL_MS = 5_000;

export interface AccessOptions {
  readonly connection: KubeConnection;
  readonly clock: Clock;
  /** Of the lease; undefined without leader election. */
  readonly leaseNamespace: string | undefined;
  readonly signal: AbortSignal;
  /** It is tried again after `delayMs`. */
  readonly onTrouble: (error: KaiError, delayMs: number) => void;
  /** A list that is served, but may not be read: the role does without. */
  readonly onForgone: (list: ListName) => void;
}

/**
 * Waits for the API server, then finds out what it serves and allows. Undefined when `signal` was aborted. Throws KaiError
 * API_MISSING, FORBIDDEN, UNAUTHORIZED or what reading the credentials throws.
 */
export async function gainAccess(options: AccessOptions): Promise<Discovery | undefined> {
  const { connection, clock, signal, onTrouble, leaseNamespace } = options;
  const startedMs = clock.monotonicMs();
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      const discovery = await discover(connection);
      requireServed(discovery);
      const missing = await missingPermissions(connection, [...watchPermissions(discovery), ...writePermissions(leaseNamespace)]);
      const forgone = forgoableLists(discovery, missing);
      const elapsedMs = clock.monotonicMs() - startedMs;
      if (missing.length > 0 && (forgone === undefined || elapsedMs < OPTIONAL_MS)) throw forbidden(missing);
      for (const list of forgone ?? []) options.onForgone(list);
      return without(discovery, forgone ?? []);
    } catch (error) {
      if (!(error instanceof KaiError) || !isWorthWaiting(error, clock.monotonicMs() - startedMs)) throw error;
      const delayMs = backoffMs(failures, BACKOFF, clock.random());
      onTrouble(error, delayMs);
      await clock.sleep(delayMs, signal);
    }
  }
  return undefined;
}

/**
 * Asks again about lists that were unanswered, until there is an answer about one of them. In what it gives, lists that may not be
 * read are as not served. Undefined when `signal` was aborted. Throws KaiError UNAUTHORIZED and errors of this program.
 */
export async function gainLateAccess(
  { connection, clock, signal, onForgone }: Pick<AccessOptions, 'connection' | 'clock' | 'signal' | 'onForgone'>,
  unanswered: readonly ListName[],
): Promise<Discovery | undefined> {
  for (let attempt = 1; ; attempt++) {
    await clock.sleep(backoffMs(attempt, LATE_BACKOFF, clock.random()), signal);
    if (signal.aborted) return undefined;
    try {
      const discovery = await discover(connection);
      const served = unanswered.filter((list) => discovery.lists.has(list));
      if (unanswered.every((list) => discovery.unanswered.includes(list))) continue;
      const missing = await missingPermissions(connection, watchPermissions(discovery, served));
      const forgone = forgoableLists(discovery, missing) ?? [];
      for (const list of forgone) onForgone(list);
      return without(discovery, forgone);
    } catch (error) {
      if (!(error instanceof NoAnswerError || error instanceof ApiStatusError)) throw error;
    }
  }
}

/** The lists that the missing permissions concern, if none of them is required; undefined when something is. */
function forgoableLists(discovery: Discovery, missing: readonly Permission[]): readonly ListName[] | undefined {
  const lists = new Set<ListName>();
  for (const { verb, group, resource } of missing) {
    const served = [...discovery.lists.values()].find(({ spec }) => spec.group === group && spec.plural === resource);
    if (served === undefined || served.spec.isRequired || (verb !== 'list' && verb !== 'watch')) return undefined;
    lists.add(served.spec.list);
  }
  return [...lists];
}

/** As if the lists were not served. */
function without(discovery: Discovery, forgone: readonly ListName[]): Discovery {
  const lists = new Map([...discovery.lists].filter(([list]) => !forgone.includes(list)));
  const isDraServed =
    discovery.isDraServed && (['resourceClaims', 'resourceSlices', 'deviceClasses'] as const).every((list) => lists.has(list));
  return { ...discovery, lists, isDraServed, isNodeTopologyServed: lists.has('nodeResourceTopologies') };
}

function forbidden(missing: readonly Permission[]): KaiError {
  return new KaiError(
    'FORBIDDEN',
    `the service account may not: ${missing.map(describePermission).join('; ')}. Grant it by a ClusterRole (chart: rbac).`,
  );
}

function isWorthWaiting(error: KaiError, elapsedMs: number): boolean {
  if (error instanceof NoAnswerError) return true;
  if (error instanceof ApiStatusError) return error.status.code >= 500 || error.status.code === 429;
  return (error.code === 'API_MISSING' || error.code === 'FORBIDDEN') && elapsedMs < MISSING_MS;
}

/** Without these nothing can be decided or told; rights that only some kinds of pods need show when they are used. */
function writePermissions(leaseNamespace: string | undefined): Permission[] {
  const permissions: Permission[] = [
    { verb: 'create', group: '', resource: 'pods', subresource: 'binding' },
    { verb: 'delete', group: '', resource: 'pods' },
    { verb: 'patch', group: '', resource: 'pods' },
    { verb: 'patch', group: '', resource: 'pods', subresource: 'status' },
    { verb: 'create', group: '', resource: 'events' },
    { verb: 'patch', group: 'scheduling.run.ai', resource: 'podgroups' },
    { verb: 'patch', group: 'scheduling.run.ai', resource: 'podgroups', subresource: 'status' },
    { verb: 'delete', group: 'scheduling.run.ai', resource: 'bindrequests' },
  ];
  if (leaseNamespace === undefined) return permissions;
  for (const verb of ['get', 'create', 'update']) {
    permissions.push({ verb, group: 'coordination.k8s.io', resource: 'leases', namespace: leaseNamespace });
  }
  return permissions;
}
