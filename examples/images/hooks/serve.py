"""Serves gRPC methods on a unix socket until it is told to end."""

import signal
from concurrent import futures

import grpc


def serve(socket, services):
    """`services`: by name, the methods by name, each a function of (request, context) and its request's class."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    for service, methods in services.items():
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                function,
                request_deserializer=request.FromString,
                response_serializer=lambda answer: answer.SerializeToString(),
            )
            for name, (function, request) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print(f"listening on {socket}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=1))
    server.wait_for_termination()
