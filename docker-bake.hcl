# All images at once:        docker buildx bake
# Those of one processor:    docker buildx bake amd64
# One:                       docker buildx bake jetson-jp6
# Under another name:        NAME=registry.example/hwnas docker buildx bake --push
# With bases pinned:         PYTHON_DIGEST=@sha256:... docker buildx bake amd64    (how to find one: Dockerfile)
# Images for ARM on an x86 machine need QEMU in binfmt_misc; building them on the board itself needs nothing.

variable "NAME" { default = "hwnas" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }
variable "PYTHON_DIGEST" { default = "" }
variable "CUDA_DIGEST" { default = "" }
variable "JP5_DIGEST" { default = "" }
variable "JP6_DIGEST" { default = "" }
variable "JP7_DIGEST" { default = "" }

group "default" {
  targets = ["amd64", "arm64"]
}

target "_all" {
  context = "."
  args = {
    VERSION       = VERSION
    REVISION      = REVISION
    PYTHON_DIGEST = PYTHON_DIGEST
    CUDA_DIGEST   = CUDA_DIGEST
    JP5_DIGEST    = JP5_DIGEST
    JP6_DIGEST    = JP6_DIGEST
    JP7_DIGEST    = JP7_DIGEST
  }
}

target "amd64" {
  name      = stage
  matrix    = { stage = ["x86-onnxruntime", "x86-openvino", "nvidia-gpu", "train", "dev"] }
  inherits  = ["_all"]
  target    = stage
  platforms = ["linux/amd64"]
  tags      = ["${NAME}:${stage}"]
}

target "arm64" {
  name      = stage
  matrix    = { stage = ["jetson-jp5", "jetson-jp6", "jetson-jp7", "raspberrypi"] }
  inherits  = ["_all"]
  target    = stage
  platforms = ["linux/arm64"]
  tags      = ["${NAME}:${stage}"]
}
