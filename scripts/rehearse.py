"""Deploys template.yaml to the endpoint in AWS_ENDPOINT_URL, and prints the settings of the end-to-end tests.

Usage: rehearse.py DIRECTORY_OF_BINARIES KEY_FILE

Packaging is what `sam package` does: the binaries and openapi.yaml go to a bucket, and the template names them there.
"""

import io
import json
import re
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import boto3

STACK = "rehearsal"
BUCKET = "rehearsal-code"
# No token is sent, so nobody asks this issuer; callers have an API key.
PARAMETERS = {
    "JwtIssuer": "https://issuer.invalid",
    "JwtAudience": "rehearsal",
    "JwksUrl": "https://issuer.invalid/jwks.json",
}


def wait_for(client):
    """Until the emulation answers."""
    for _ in range(300):
        try:
            return client.list_buckets()
        except Exception:  # Whatever is not ready yet.
            time.sleep(0.1)
    raise SystemExit("the emulation does not answer")


def bootstrap(binary):
    """The zip that Lambda runs."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, binary.read_bytes())
    return packed.getvalue()


def package(s3, binaries):
    """Where the template is, which names code and contract in the bucket; it is too long to be sent with the call."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="openapi.yaml", Body=Path("openapi.yaml").read_bytes())
    template = Path("template.yaml").read_text()
    template = template.replace("Location: openapi.yaml", f"Location: s3://{BUCKET}/openapi.yaml")
    # The contract says so itself (x-amazon-apigateway-binary-media-types), where the emulation does not look.
    stage = "      StageName: !Ref StageName\n      # Without"
    assert stage in template
    template = template.replace(stage, f"      BinaryMediaTypes: ['*/*']\n{stage}")
    # The emulation has alarms on one metric alone: those that compute with several stand there on another one.
    one = "      Namespace: AWS/SQS\n      MetricName: NumberOfMessagesSent\n      Period: 60\n      Statistic: Sum\n"
    template = re.sub(r"^      Metrics:\n(?: {8}.*\n)+", one, template, flags=re.MULTILINE)
    for name in re.findall(r"^        Binary: (\w+)$", template, re.MULTILINE):
        s3.put_object(Bucket=BUCKET, Key=f"{name}.zip", Body=bootstrap(binaries / name))
        own = f"        Binary: {name}\n    Properties:\n"
        assert own in template, name
        template = template.replace(own, f"{own}      CodeUri: s3://{BUCKET}/{name}.zip\n")
    s3.put_object(Bucket=BUCKET, Key="template.yaml", Body=template.encode())
    return f"{s3.meta.endpoint_url}/{BUCKET}/template.yaml"


def deploy(cloudformation, template_url):
    """The outputs of the stack, and how many seconds it took."""
    begun = time.monotonic()
    parameters = [{"ParameterKey": name, "ParameterValue": value} for name, value in PARAMETERS.items()]
    cloudformation.create_stack(
        StackName=STACK,
        TemplateURL=template_url,
        Parameters=parameters,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    while True:
        stack = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.2)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        for event in cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]:
            if "FAILED" in event["ResourceStatus"]:
                print(event["LogicalResourceId"], event.get("ResourceStatusReason"), file=sys.stderr)
        raise SystemExit(f"the stack is {stack['StackStatus']}")
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return outputs, time.monotonic() - begun


def main():
    binaries, key_file = Path(sys.argv[1]), Path(sys.argv[2])
    key, item = key_file.read_text().splitlines()
    wait_for(boto3.client("s3"))
    outputs, seconds = deploy(boto3.client("cloudformation"), package(boto3.client("s3"), binaries))
    boto3.client("dynamodb").put_item(TableName=outputs["ControlTableName"], Item=json.loads(item))

    api = outputs["ApiUrl"].split("//")[1].split(".")[0]
    stage = outputs["ApiUrl"].rsplit("/", 1)[1]
    base = f"{boto3.client('s3').meta.endpoint_url}/restapis/{api}/{stage}/_user_request_"
    with urllib.request.urlopen(f"{base}/health", timeout=30) as answer:
        assert answer.status == 200, answer.status
    settings = {
        "BASE_URL": base,
        "BATCH_API_KEY": key,
        "BATCH_TENANT": "demo",
        "QUEUE_URL": outputs["QueueUrl"],
        "DEAD_LETTER_QUEUE_URL": outputs["DeadLetterQueueUrl"],
        "BATCHES_TABLE": outputs["BatchesTableName"],
        "DEPLOYED_IN": f"{seconds:.1f}",
    }
    for name, value in settings.items():
        print(f"{name}='{value}'")


main()
