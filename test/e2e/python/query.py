"""Asks a node over gRPC as any client would: stubs made from the proto files, nothing of the Go code.

usage: query.py PROTO_ROOT ADDRESS SERVICE START_S END_S  (prints one JSON object)
"""
import importlib
import json
import os
import sys
import tempfile

import grpc
from grpc_tools import protoc

root, address, service, start, end = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
out = tempfile.mkdtemp()
builtin = os.path.join(os.path.dirname(protoc.__file__), "_proto")
files = [os.path.join(root, "messages/api", f) for f in ("tempo.proto", "otlp/common.proto", "otlp/resource.proto", "otlp/trace.proto")]
if protoc.main(["protoc", "-I" + root, "-I" + builtin, "--python_out=" + out, "--grpc_python_out=" + out] + files) != 0:
    sys.exit("protoc failed")
sys.path.insert(0, out)
pb = importlib.import_module("messages.api.tempo_pb2")
rpc = importlib.import_module("messages.api.tempo_pb2_grpc")

with grpc.insecure_channel(address) as channel:
    stub = rpc.StreamingQuerierStub(channel)

    def last(stream):
        """All messages of a stream as one: what comes again takes the place of what came before, which is for the caller to see to."""
        joined = None
        for message in stream:
            if joined is None:
                joined = type(message)()
            joined.MergeFrom(message)
        return joined

    def distinct(items):
        return list(dict.fromkeys(items))

    query = '{ resource.service.name = "%s" }' % service
    search = last(stub.Search(pb.SearchRequest(Query=query, Limit=1000, SpansPerSpanSet=100, start=start, end=end)))
    tags = last(stub.SearchTags(pb.SearchTagsRequest(scope="resource", start=start, end=end)))
    tags2 = last(stub.SearchTagsV2(pb.SearchTagsRequest(scope="resource", start=start, end=end)))
    values = last(stub.SearchTagValues(pb.SearchTagValuesRequest(tagName="service.name", start=start, end=end)))
    values2 = last(stub.SearchTagValuesV2(pb.SearchTagValuesRequest(tagName="resource.service.name", start=start, end=end)))
    window = dict(start=start * 10**9, end=end * 10**9)
    ranged = last(stub.MetricsQueryRange(pb.QueryRangeRequest(query=query + " | count_over_time()", step=60 * 10**9, **window)))
    instant = last(stub.MetricsQueryInstant(pb.QueryInstantRequest(query=query + " | count_over_time()", **window)))
    try:
        last(stub.Search(pb.SearchRequest(Query="{", start=start, end=end)))
        refused = "OK"
    except grpc.RpcError as e:
        refused = e.code().name

traces = {t.traceID: t for t in search.traces}
print(json.dumps({
    "traces": len(traces),
    "matched": sum(s.matched for t in traces.values() for s in t.spanSets),
    "complete": search.complete,
    "tags": distinct(tags.tagNames),
    "tags2": distinct(t for s in tags2.scopes for t in s.tags),
    "values": distinct(values.tagValues),
    "values2": distinct(v.value for v in values2.tagValues),
    "range": sum(s.value for t in ranged.series for s in t.samples),
    "instant": sum(s.value for s in instant.series),
    "refused": refused,
}))
