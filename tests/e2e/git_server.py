#!/usr/bin/env python3
"""git over HTTP for the stories: git http-backend and Git LFS (objects: FOLDER/lfs/OID) behind a password, whose objects are
given for a ticket instead. git_server.py FOLDER PASSWORD prints its port."""
import base64, http.server, json, os, subprocess, sys

folder, password = sys.argv[1:3]
wanted = "Basic " + base64.b64encode(f"x-access-token:{password}".encode()).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_):
        pass

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def lfs_object(self, oid):
        if self.headers.get("X-Ticket") != "good" or self.headers.get("Authorization"):
            return self.say(403)
        if self.path.startswith("/moved/"):
            return self.say(302, Location="/object/" + oid)
        with open(os.path.join(folder, "lfs", oid), "rb") as file:
            self.say(200, file.read())

    def lfs_batch(self):
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = "application/vnd.git-lfs+json"
        if (self.headers["Content-Type"], self.headers["Accept"], wish["operation"], wish["transfers"]) != (kind, kind, "download", ["basic"]):
            return self.say(422)
        objects = []
        for one in wish["objects"]:
            if os.path.exists(os.path.join(folder, "lfs", one["oid"])):
                address = f"http://127.0.0.1:{server.server_port}/moved/{one['oid']}"
                objects.append(dict(one, authenticated=True, actions={"download": {"href": address, "header": {"X-Ticket": "good"}}}))
            else:
                objects.append(dict(one, error={"code": 404, "message": "Object does not exist"}))
        self.say(200, json.dumps({"transfer": "basic", "objects": objects}).encode(), **{"Content-Type": kind})

    def serve(self):
        if self.path.startswith(("/moved/", "/object/")):
            return self.lfs_object(self.path.rpartition("/")[2])
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        if self.path.endswith(".git/info/lfs/objects/batch"):
            return self.lfs_batch()
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = dict(os.environ, GIT_PROJECT_ROOT=folder, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
                           REQUEST_METHOD=self.command, REMOTE_USER="x", CONTENT_TYPE=self.headers.get("Content-Type", ""),
                           CONTENT_LENGTH=str(len(body)), HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding", ""))
        out = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = dict(lines).get("Status", "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)

    do_GET = do_POST = serve


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
