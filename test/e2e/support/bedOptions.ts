// What a suite may say about its installation, and what scenarios get to see.
import type { KubeObject } from './apiClient.ts';
import type { DecisionAuditInput } from './decisionAudit.ts';
import { RESERVATION_NAMESPACE } from './install.ts';
import type { PodShape } from './objects.ts';
import type { SchedulerOptions } from './schedulerProcess.ts';
import type { TestKubeletOptions } from './testKubelet.ts';

/** Where scenarios create their pods. */
export const TEAM = 'team';

/** Version of resource.k8s.io that a server has. */
export type ResourceApi = 'v1' | 'v1beta1' | 'none';

/** Flags of the API server for it. */
export const RESOURCE_API_ARGS: Readonly<Record<ResourceApi, readonly string[]>> = {
  v1: [],
  v1beta1: ['--runtime-config=resource.k8s.io/v1=false,resource.k8s.io/v1beta2=false,resource.k8s.io/v1beta1=true'],
  none: ['--runtime-config=resource.k8s.io/v1=false,resource.k8s.io/v1beta2=false,resource.k8s.io/v1beta1=false'],
};

/** Collections that are emptied between scenarios: what makes pods, pods, the rest. */
export function clearedPaths(claims: ResourceApi): string[] {
  const ofClaims = [
    `/apis/resource.k8s.io/${claims}/namespaces/${TEAM}/resourceclaims`,
    `/apis/resource.k8s.io/${claims}/namespaces/${TEAM}/resourceclaimtemplates`,
    `/apis/resource.k8s.io/${claims}/resourceslices`,
    `/apis/resource.k8s.io/${claims}/deviceclasses`,
  ];
  return [
    `/apis/apps/v1/namespaces/${TEAM}/replicasets`,
    `/api/v1/namespaces/${TEAM}/pods`,
    `/api/v1/namespaces/${RESERVATION_NAMESPACE}/pods`,
    `/apis/scheduling.run.ai/v2alpha2/namespaces/${TEAM}/podgroups`,
    `/apis/scheduling.run.ai/v1alpha2/namespaces/${TEAM}/bindrequests`,
    ...(claims === 'none' ? [] : ofClaims),
    '/apis/scheduling.run.ai/v2/queues',
    '/api/v1/nodes',
  ];
}

export interface BedOptions {
  /** Flags of the scheduler that `onCluster` starts; null = the scenarios start their own. */
  readonly args?: readonly string[] | null;
  readonly env?: SchedulerOptions['env'];
  /** The scheduler speaks to the API server through `bed.proxy`. */
  readonly isProxied?: boolean;
  readonly kubelet?: Omit<TestKubeletOptions, 'client'>;
  /** Default v1. */
  readonly claims?: ResourceApi;
  /** Lines of the log that would else be held against the scheduler: its errors are what the scenarios are about. */
  readonly expectedErrors?: RegExp;
  /** What the auditor must know of how the scheduler is started. */
  readonly audited?: Pick<DecisionAuditInput, 'params' | 'isBinderSeparate'>;
}

export interface StartOptions extends Partial<Pick<SchedulerOptions, 'args' | 'env' | 'token'>> {
  /** Default: resolves when it is ready. */
  readonly isAwaited?: boolean;
}

export interface GangShape extends PodShape {
  readonly queue?: string;
  /** Default: as many as there are pods. */
  readonly minMember?: number;
  /** Further fields of the pod group's spec. */
  readonly groupSpec?: object;
  readonly groupLabels?: Readonly<Record<string, string>>;
}

export interface PodCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface SeenEvent extends KubeObject {
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly regarding?: { readonly kind: string; readonly name: string };
  readonly involvedObject?: { readonly kind: string; readonly name: string; readonly uid?: string };
}
