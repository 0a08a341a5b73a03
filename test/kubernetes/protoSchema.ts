// Parts of the published generated.proto files (k8s.io/api core/v1, apimachinery meta/v1, runtime, resource; Kubernetes 1.37):
// what the readers read, and a good deal of what they must skip. Encodes objects as the API server does.
import protobuf from 'protobufjs';

const SCHEMA = `
syntax = "proto2";
message Time { optional int64 seconds = 1; optional int32 nanos = 2; }
message Quantity { optional string string = 1; }
message OwnerReference { optional string kind = 1; optional string name = 3; optional string uid = 4; optional string apiVersion = 5; optional bool controller = 6; optional bool blockOwnerDeletion = 7; }
message FieldsV1 { optional bytes Raw = 1; }
message ManagedFieldsEntry { optional string manager = 1; optional string operation = 2; optional string apiVersion = 3; optional Time time = 4; optional string fieldsType = 6; optional FieldsV1 fieldsV1 = 7; }
message ObjectMeta { optional string name = 1; optional string generateName = 2; optional string namespace = 3; optional string selfLink = 4; optional string uid = 5; optional string resourceVersion = 6; optional int64 generation = 7; optional Time creationTimestamp = 8; optional Time deletionTimestamp = 9; optional int64 deletionGracePeriodSeconds = 10; map<string, string> labels = 11; map<string, string> annotations = 12; repeated OwnerReference ownerReferences = 13; repeated string finalizers = 14; repeated ManagedFieldsEntry managedFields = 17; }
message ListMeta { optional string selfLink = 1; optional string resourceVersion = 2; optional string continue = 3; optional int64 remainingItemCount = 4; }
message LabelSelectorRequirement { optional string key = 1; optional string operator = 2; repeated string values = 3; }
message LabelSelector { map<string, string> matchLabels = 1; repeated LabelSelectorRequirement matchExpressions = 2; }
message LocalObjectReference { optional string name = 1; }
message ResourceRequirements { map<string, Quantity> limits = 1; map<string, Quantity> requests = 2; }
message ContainerPort { optional string name = 1; optional int32 hostPort = 2; optional int32 containerPort = 3; optional string protocol = 4; optional string hostIP = 5; }
message ConfigMapKeySelector { optional LocalObjectReference localObjectReference = 1; optional string key = 2; optional bool optional = 3; }
message ObjectFieldSelector { optional string apiVersion = 1; optional string fieldPath = 2; }
message EnvVarSource { optional ObjectFieldSelector fieldRef = 1; optional ConfigMapKeySelector configMapKeyRef = 3; optional ConfigMapKeySelector secretKeyRef = 4; }
message EnvVar { optional string name = 1; optional string value = 2; optional EnvVarSource valueFrom = 3; }
message ConfigMapEnvSource { optional LocalObjectReference localObjectReference = 1; optional bool optional = 2; }
message EnvFromSource { optional string prefix = 1; optional ConfigMapEnvSource configMapRef = 2; optional ConfigMapEnvSource secretRef = 3; }
message VolumeMount { optional string name = 1; optional bool readOnly = 2; optional string mountPath = 3; }
message Container { optional string name = 1; optional string image = 2; repeated string command = 3; repeated string args = 4; repeated ContainerPort ports = 6; repeated EnvVar env = 7; optional ResourceRequirements resources = 8; repeated VolumeMount volumeMounts = 9; optional string imagePullPolicy = 14; optional bool stdin = 16; repeated EnvFromSource envFrom = 19; optional string terminationMessagePolicy = 20; optional string restartPolicy = 24; }
message EphemeralContainer { optional Container ephemeralContainerCommon = 1; optional string targetContainerName = 2; }
message KeyToPath { optional string key = 1; optional string path = 2; }
message PersistentVolumeClaimVolumeSource { optional string claimName = 1; optional bool readOnly = 2; }
message ConfigMapVolumeSource { optional LocalObjectReference localObjectReference = 1; repeated KeyToPath items = 2; optional int32 defaultMode = 3; optional bool optional = 4; }
message ConfigMapProjection { optional LocalObjectReference localObjectReference = 1; repeated KeyToPath items = 2; optional bool optional = 4; }
message ServiceAccountTokenProjection { optional string audience = 1; optional int64 expirationSeconds = 2; optional string path = 3; }
message VolumeProjection { optional ConfigMapProjection configMap = 3; optional ServiceAccountTokenProjection serviceAccountToken = 4; }
message ProjectedVolumeSource { repeated VolumeProjection sources = 1; optional int32 defaultMode = 2; }
message EmptyDirVolumeSource { optional string medium = 1; }
message PersistentVolumeClaimTemplate { optional ObjectMeta metadata = 1; }
message EphemeralVolumeSource { optional PersistentVolumeClaimTemplate volumeClaimTemplate = 1; }
message VolumeSource { optional EmptyDirVolumeSource emptyDir = 2; optional PersistentVolumeClaimVolumeSource persistentVolumeClaim = 10; optional ConfigMapVolumeSource configMap = 19; optional ProjectedVolumeSource projected = 26; optional EphemeralVolumeSource ephemeral = 29; }
message Volume { optional string name = 1; optional VolumeSource volumeSource = 2; }
message NodeSelectorTerm { repeated LabelSelectorRequirement matchExpressions = 1; repeated LabelSelectorRequirement matchFields = 2; }
message NodeSelector { repeated NodeSelectorTerm nodeSelectorTerms = 1; }
message PreferredSchedulingTerm { optional int32 weight = 1; optional NodeSelectorTerm preference = 2; }
message NodeAffinity { optional NodeSelector requiredDuringSchedulingIgnoredDuringExecution = 1; repeated PreferredSchedulingTerm preferredDuringSchedulingIgnoredDuringExecution = 2; }
message PodAffinityTerm { optional LabelSelector labelSelector = 1; repeated string namespaces = 2; optional string topologyKey = 3; optional LabelSelector namespaceSelector = 4; repeated string matchLabelKeys = 5; }
message WeightedPodAffinityTerm { optional int32 weight = 1; optional PodAffinityTerm podAffinityTerm = 2; }
message PodAffinity { repeated PodAffinityTerm requiredDuringSchedulingIgnoredDuringExecution = 1; repeated WeightedPodAffinityTerm preferredDuringSchedulingIgnoredDuringExecution = 2; }
message Affinity { optional NodeAffinity nodeAffinity = 1; optional PodAffinity podAffinity = 2; optional PodAffinity podAntiAffinity = 3; }
message Toleration { optional string key = 1; optional string operator = 2; optional string value = 3; optional string effect = 4; optional int64 tolerationSeconds = 5; }
message TopologySpreadConstraint { optional int32 maxSkew = 1; optional string topologyKey = 2; optional string whenUnsatisfiable = 3; optional LabelSelector labelSelector = 4; optional int32 minDomains = 5; optional string nodeAffinityPolicy = 6; optional string nodeTaintsPolicy = 7; repeated string matchLabelKeys = 8; }
message PodSchedulingGate { optional string name = 1; }
message PodResourceClaim { optional string name = 1; optional string resourceClaimName = 3; optional string resourceClaimTemplateName = 4; }
message PodSpec { repeated Volume volumes = 1; repeated Container containers = 2; optional string restartPolicy = 3; optional int64 terminationGracePeriodSeconds = 4; optional string dnsPolicy = 6; map<string, string> nodeSelector = 7; optional string serviceAccountName = 8; optional string nodeName = 10; optional bool hostNetwork = 11; optional Affinity affinity = 18; optional string schedulerName = 19; repeated Container initContainers = 20; repeated Toleration tolerations = 22; optional string priorityClassName = 24; optional int32 priority = 25; optional bool enableServiceLinks = 30; optional string preemptionPolicy = 31; map<string, Quantity> overhead = 32; repeated TopologySpreadConstraint topologySpreadConstraints = 33; repeated EphemeralContainer ephemeralContainers = 34; repeated PodSchedulingGate schedulingGates = 38; repeated PodResourceClaim resourceClaims = 39; optional ResourceRequirements resources = 40; }
message PodCondition { optional string type = 1; optional string status = 2; optional Time lastProbeTime = 3; optional Time lastTransitionTime = 4; optional string reason = 5; optional string message = 6; optional int64 observedGeneration = 7; }
message ContainerStatus { optional string name = 1; optional bool ready = 4; optional int32 restartCount = 5; optional string image = 6; optional string imageID = 7; }
message PodResourceClaimStatus { optional string name = 1; optional string resourceClaimName = 2; }
message PodExtendedResourceClaimStatus { optional string resourceClaimName = 2; }
message PodStatus { optional string phase = 1; repeated PodCondition conditions = 2; optional string message = 3; optional string hostIP = 5; optional string podIP = 6; optional Time startTime = 7; repeated ContainerStatus containerStatuses = 8; optional string qosClass = 9; optional string nominatedNodeName = 11; repeated PodResourceClaimStatus resourceClaimStatuses = 15; optional int64 observedGeneration = 17; optional PodExtendedResourceClaimStatus extendedResourceClaimStatus = 18; }
message Pod { optional ObjectMeta metadata = 1; optional PodSpec spec = 2; optional PodStatus status = 3; }
message PodList { optional ListMeta metadata = 1; repeated Pod items = 2; }
message Taint { optional string key = 1; optional string value = 2; optional string effect = 3; optional Time timeAdded = 4; }
message NodeSpec { optional string podCIDR = 1; optional string providerID = 3; optional bool unschedulable = 4; repeated Taint taints = 5; repeated string podCIDRs = 7; }
message NodeCondition { optional string type = 1; optional string status = 2; optional Time lastHeartbeatTime = 3; optional Time lastTransitionTime = 4; optional string reason = 5; optional string message = 6; }
message ContainerImage { repeated string names = 1; optional int64 sizeBytes = 2; }
message NodeStatus { map<string, Quantity> capacity = 1; map<string, Quantity> allocatable = 2; optional string phase = 3; repeated NodeCondition conditions = 4; repeated ContainerImage images = 8; repeated string volumesInUse = 9; }
message Node { optional ObjectMeta metadata = 1; optional NodeSpec spec = 2; optional NodeStatus status = 3; }
message NodeList { optional ListMeta metadata = 1; repeated Node items = 2; }
message StatusDetails { optional int32 retryAfterSeconds = 5; }
message Status { optional ListMeta metadata = 1; optional string status = 2; optional string message = 3; optional string reason = 4; optional StatusDetails details = 5; optional int32 code = 6; }
message TypeMeta { optional string apiVersion = 1; optional string kind = 2; }
message Unknown { optional TypeMeta typeMeta = 1; optional bytes raw = 2; optional string contentEncoding = 3; optional string contentType = 4; }
message RawExtension { optional bytes raw = 1; }
message WatchEvent { optional string type = 1; optional RawExtension object = 2; }
`;

const ROOT = protobuf.parse(SCHEMA, { keepCase: true }).root;

type Json = Readonly<Record<string, unknown>>;

function encode(type: string, json: Json): Uint8Array {
  const message = ROOT.lookupType(type);
  return message.encode(message.fromObject(convert(message, json) as Json)).finish();
}

/** JSON as Kubernetes writes it to the nesting of its protobuf messages. */
function convert(type: protobuf.Type, json: unknown): unknown {
  if (type.name === 'Time') return { seconds: Math.floor(Date.parse(String(json)) / 1000), nanos: 0 };
  if (type.name === 'Quantity') return { string: String(json) };
  if (type.name === 'FieldsV1') return { Raw: Buffer.from(JSON.stringify(json)) };
  const object = regrouped(type.name, json as Json);
  const message: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    const value = object[field.name];
    if (value === undefined || value === null) continue;
    const inner = field.resolve().resolvedType;
    if (!(inner instanceof protobuf.Type)) message[field.name] = value;
    else if (field.map) message[field.name] = Object.fromEntries(Object.entries(value as Json).map(([k, v]) => [k, convert(inner, v)]));
    else message[field.name] = field.repeated ? (value as unknown[]).map((v) => convert(inner, v)) : convert(inner, value);
  }
  return message;
}

/** Go embeds some structs: their fields are inline in JSON and one message deeper in protobuf. Texts that are '' are sent. */
function regrouped(type: string, json: Json): Json {
  switch (type) {
    case 'Volume':
      return { name: json.name, volumeSource: json };
    case 'EphemeralContainer':
      return { ephemeralContainerCommon: json, targetContainerName: '' };
    case 'ConfigMapKeySelector':
    case 'ConfigMapEnvSource':
    case 'ConfigMapVolumeSource':
    case 'ConfigMapProjection':
      return { ...json, localObjectReference: { name: json.name ?? '' } };
    case 'PodSpec':
      return { nodeName: '', schedulerName: '', hostNetwork: false, serviceAccountName: '', priorityClassName: '', ...json };
    case 'ObjectMeta':
      return { generateName: '', namespace: '', selfLink: '', generation: 0, ...json };
    case 'NodeSpec':
      return { podCIDR: '', providerID: '', unschedulable: false, ...json };
    case 'Container':
      return { image: '', stdin: false, imagePullPolicy: '', ...json };
    default:
      return json;
  }
}

function wrap(raw: Uint8Array, kind: string): Buffer {
  const unknown = { typeMeta: { apiVersion: 'v1', kind }, raw: Buffer.from(raw), contentEncoding: '', contentType: '' };
  const type = ROOT.lookupType('Unknown');
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), type.encode(type.fromObject(unknown)).finish()]);
}

/** A list body. */
export function encodeList(kind: 'Pod' | 'Node', list: Json): Buffer {
  return wrap(encode(`${kind}List`, list), `${kind}List`);
}

/** The body of a refusal. */
export function encodeStatus(status: Json): Buffer {
  return wrap(encode('Status', status), 'Status');
}

/** A watch frame with its length. Errors carry a Status. */
export function encodeFrame(kind: 'Pod' | 'Node', event: { readonly type: string; readonly object: Json }): Buffer {
  const inner = event.type === 'ERROR' ? 'Status' : kind;
  const type = ROOT.lookupType('WatchEvent');
  const raw = wrap(encode(inner, event.object), inner);
  const frame = Buffer.from(type.encode(type.fromObject({ type: event.type, object: { raw } })).finish());
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}
