#!/bin/sh
# wal.sh push FILE | fetch NAME FILE: one WAL file to or from the archive, under `envdir`. By curl alone: recovery asks
# for one file after the other, and a program that first reads a library would take longer than the file.
location=${WALE_S3_PREFIX#s3://}
endpoint=${AWS_ENDPOINT:-https://s3.${AWS_REGION:-us-east-1}.amazonaws.com}

# object NAME CURL_ARGUMENTS...: buckets are addressed by path, which every S3-compatible store understands
object() {
  name=$1
  shift
  curl --fail --silent --show-error --retry 3 --max-time 120 --aws-sigv4 "aws:amz:${AWS_REGION:-us-east-1}:s3" \
    --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@" "$endpoint/$location/wal_files/$name"
}

case $1 in
  push) object "$(basename "$2")" --output /dev/null --upload-file "$2" ;;
  fetch)
    # PostgreSQL asks for files that are not there yet; a part of a file must never look like one
    object "$2" --output "$3.part" && mv "$3.part" "$3" ;;
  *) exit 2 ;;
esac
