"""The protobuf messages in which TensorBoard and W&B store their figures, with only the fields that are used here.

Their own packages are large, and W&B's no longer has a reader. protobuf itself decodes the bytes and skips unknown
fields. Numbers and names are those of `tensorflow/core/util/event.proto`, `tensorflow/core/framework/summary.proto` and
`tensor.proto`, and of `wandb_internal.proto`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = {
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "sint64": descriptor_pb2.FieldDescriptorProto.TYPE_SINT64,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}

# Message -> field -> (number, type). A type that is not in `_KINDS` is a message. `*` means repeated; `?` means that an
# absent field can be told from the default value.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Event": {
        "wall_time": (1, "double"),
        "step": (2, "int64"),
        "file_version": (3, "string"),
        "summary": (5, "Summary"),
        "session_log": (7, "SessionLog"),
    },
    "SessionLog": {"status": (1, "int32")},
    "Summary": {"value": (1, "Value*")},
    "Value": {
        "tag": (1, "string"),
        "simple_value": (2, "float?"),
        # These are only counted.
        "image": (4, "bytes?"),
        "histo": (5, "bytes?"),
        "audio": (6, "bytes?"),
        "tensor": (8, "Tensor"),
        "metadata": (9, "Metadata"),
    },
    "Metadata": {"plugin_data": (1, "PluginData")},
    "PluginData": {"plugin_name": (1, "string"), "content": (2, "bytes")},
    "Tensor": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "Shape"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
    },
    "Shape": {"dim": (2, "Dimension*")},
    "Dimension": {"size": (1, "int64")},
    "Record": {
        "history": (2, "History"),
        "summary": (3, "SummaryRecord"),
        "metric": (12, "MetricRecord"),
        "run": (17, "RunRecord"),
        "config": (5, "Config"),
        "exit": (18, "Exit"),
        "alert": (10, "Alert"),
    },
    "History": {"item": (1, "Item*"), "step": (2, "HistoryStep")},
    "HistoryStep": {"num": (1, "int64")},
    "Item": {
        "key": (1, "string"),
        "nested_key": (2, "string*"),
        "boolean": (4, "bool?"),
        "integer": (5, "sint64?"),
        "number": (6, "double?"),
        "value_json": (16, "string"),
    },
    "RunRecord": {
        "run_id": (1, "string"),
        "project": (3, "string"),
        "config": (4, "Config"),
        "summary": (5, "SummaryRecord"),
        "display_name": (8, "string"),
        "notes": (9, "string"),
        "host": (13, "string"),
        "start_time": (17, "Time"),
    },
    "SummaryRecord": {"update": (1, "Item*")},
    "MetricRecord": {
        "name": (1, "string"),
        "glob_name": (2, "string"),
        "step_metric": (4, "string"),
        "step_metric_index": (5, "int32"),
    },
    "Time": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Config": {"update": (1, "Item*")},
    "Exit": {"exit_code": (1, "int32"), "runtime": (2, "int32")},
    "Alert": {"title": (1, "string"), "text": (2, "string"), "level": (3, "string")},
}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="looptop.proto", package="looptop", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, type_name) in fields.items():
            kind = type_name.rstrip("*?")
            field = message.field.add(name=field_name, number=number)
            field.label = field.LABEL_REPEATED if type_name.endswith("*") else field.LABEL_OPTIONAL
            if type_name.endswith("?"):
                field.proto3_optional = True
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field_name}")
            if kind in _KINDS:
                field.type = _KINDS[kind]
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".looptop.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"looptop.{name}")) for name in _MESSAGES}


_CLASSES = _build()
Event: Any = _CLASSES["Event"]
"""One record of a TensorBoard event file."""
Record: Any = _CLASSES["Record"]
"""One record of a `.wandb` file."""
