// Bind requests of another binder that are still to be carried out (spec 01 section 1.5, 07 sections 6.2 and 7.5).
import type { BindRequest } from '../base/objects.ts';
import { type BinderApi, hasStatus, inContext } from './binderApi.ts';

export const BIND_REQUESTS_PATH = '/apis/scheduling.run.ai/v1alpha2';

export class OpenBindRequests {
  readonly #api: BinderApi;

  constructor(api: BinderApi) {
    this.#api = api;
  }

  /** Does a request that has neither succeeded nor failed name the group? Asks the API server; throws StepError. */
  async isNamed(group: string): Promise<boolean> {
    try {
      const requests = await this.#api.list<BindRequest>(`${BIND_REQUESTS_PATH}/bindrequests`);
      return requests.some(({ spec, status }) => isUnfinished(status?.phase) && spec?.selectedGPUGroups?.includes(group) === true);
    } catch (error) {
      // Without the definition there are no requests.
      if (hasStatus(error, 404)) return false;
      throw inContext('failed to list BindRequests', error);
    }
  }
}

function isUnfinished(phase: string | undefined): boolean {
  return phase !== 'Succeeded' && phase !== 'Failed';
}

/** Another binder has, or will have, to do with the pod: failed for good means that the scheduler decides anew (spec 07 section 6.2). */
export function isHonoured(request: BindRequest, podUid: string | undefined): boolean {
  const { metadata, spec, status } = request;
  const owner = metadata.ownerReferences?.find(({ kind }) => kind === 'Pod');
  if (metadata.deletionTimestamp || (owner !== undefined && owner.uid !== podUid)) return false;
  if (status?.phase !== 'Failed') return true;
  const limit = spec?.backoffLimit;
  return limit !== null && limit !== undefined && (status.failedAttempts ?? 0) < limit;
}
